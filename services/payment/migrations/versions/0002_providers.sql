ALTER TABLE payments.payments ADD COLUMN provider TEXT NOT NULL DEFAULT 'sandbox'
;
ALTER TABLE payments.attempts
    ADD COLUMN provider TEXT NOT NULL DEFAULT 'sandbox',
    DROP CONSTRAINT kind_is_declared,
    ADD CONSTRAINT kind_is_declared CHECK (kind IN ('authorize', 'prepare', 'confirm', 'capture', 'void', 'refund'))
;
INSERT INTO payments.payments_state_moves VALUES ('asked', 'voiding')
;
