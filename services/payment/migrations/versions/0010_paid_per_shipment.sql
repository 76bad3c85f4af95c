ALTER TABLE payments.payments
    ADD COLUMN per_shipment BOOLEAN NOT NULL DEFAULT false,
    ADD COLUMN held_minor BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN due_minor BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN waived_minor BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN missing_minor BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN capture_before TIMESTAMP WITH TIME ZONE,
    ADD COLUMN call_id UUID,
    ADD COLUMN token TEXT NOT NULL DEFAULT '',
    ADD COLUMN asked_again INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN earlier JSONB NOT NULL DEFAULT '[]',
    DROP CONSTRAINT state_is_declared,
    ADD CONSTRAINT state_is_declared CHECK (
        state IN ('asked', 'pending', 'authorized', 'partly_captured', 'captured', 'declined', 'failed', 'withdrawing',
                  'voiding', 'returning', 'voided', 'returned')),
    ADD CONSTRAINT never_held_above_amount CHECK (held_minor >= 0 AND captured_minor + held_minor <= amount_minor),
    ADD CONSTRAINT never_due_above_amount CHECK (due_minor BETWEEN 0 AND amount_minor),
    ADD CONSTRAINT what_is_waived_or_missing_is_not_taken CHECK (
        waived_minor >= 0 AND missing_minor >= 0
        AND (NOT per_shipment OR captured_minor + waived_minor + missing_minor <= amount_minor)),
    ADD CONSTRAINT ended_means_nothing_held CHECK (
        (state IN ('authorized', 'partly_captured', 'voiding')) OR held_minor = 0)
;
INSERT INTO payments.payments_state_moves VALUES
    ('authorized', 'partly_captured'), ('partly_captured', 'partly_captured'), ('partly_captured', 'captured'),
    ('partly_captured', 'voiding'), ('authorized', 'asked'), ('partly_captured', 'asked'), ('asked', 'partly_captured'),
    ('asked', 'returning'), ('pending', 'partly_captured')
;
DROP INDEX payments.one_live_authorization_per_order
;
CREATE UNIQUE INDEX one_live_authorization_per_order ON payments.authorizations (order_id) WHERE state = 'held'
;
ALTER TABLE payments.captures ADD COLUMN part BOOLEAN NOT NULL DEFAULT false
;
DROP INDEX payments.one_capture_per_order
;
CREATE UNIQUE INDEX one_whole_capture_per_order ON payments.captures (order_id) WHERE NOT part
;
CREATE INDEX captures_of_an_order ON payments.captures (order_id)
;
ALTER TABLE payments.refunds
    ADD COLUMN waived_minor BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN part_of UUID,
    ADD CONSTRAINT no_more_is_waived_than_refunded CHECK (waived_minor BETWEEN 0 AND amount_minor)
;
UPDATE payments.refunds SET part_of = refund_id
;
ALTER TABLE payments.refunds ALTER COLUMN part_of SET NOT NULL
;
INSERT INTO payments.refunds_state_moves VALUES ('', 'refunded')
;
ALTER TABLE payments.attempts
    ADD COLUMN capture BOOLEAN NOT NULL DEFAULT true,
    DROP CONSTRAINT kind_is_declared,
    ADD CONSTRAINT kind_is_declared CHECK (
        kind IN ('authorize', 'prepare', 'confirm', 'capture', 'void', 'refund', 'find'))
;
