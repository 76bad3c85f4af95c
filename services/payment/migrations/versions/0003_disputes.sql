ALTER TABLE payments.payments
    ADD COLUMN disputed_minor BIGINT NOT NULL DEFAULT 0,
    ADD CONSTRAINT disputed_never_above_captured CHECK (disputed_minor BETWEEN 0 AND captured_minor),
    DROP CONSTRAINT returned_means_all_given_back,
    ADD CONSTRAINT returned_means_all_given_back CHECK (
        state <> 'returned' OR (refunded_minor + disputed_minor >= captured_minor AND refund_reserved_minor = 0))
;
INSERT INTO payments.payments_state_moves VALUES ('returned', 'returning')
;
CREATE INDEX authorizations_by_providers_id ON payments.authorizations (provider_payment_id)
;
CREATE TABLE payments.chargeback_reversals (
	id UUID NOT NULL,
	order_id UUID NOT NULL,
	amount_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	state TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT state_is_declared CHECK (state IN ('reversed')),
	CONSTRAINT reversal_is_positive CHECK (amount_minor > 0),
	CONSTRAINT a_reversal_is_of_a_payment FOREIGN KEY(order_id) REFERENCES payments.payments (order_id)
)
;
CREATE TABLE payments.chargebacks (
	id UUID NOT NULL,
	order_id UUID NOT NULL,
	dispute_id TEXT NOT NULL,
	amount_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	state TEXT NOT NULL,
	reason TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT state_is_declared CHECK (state IN ('open', 'lost', 'won')),
	CONSTRAINT chargeback_is_positive CHECK (amount_minor > 0),
	CONSTRAINT a_chargeback_is_of_a_payment FOREIGN KEY(order_id) REFERENCES payments.payments (order_id)
)
;
CREATE INDEX chargebacks_of_an_order ON payments.chargebacks (order_id)
;
CREATE TABLE payments.chargebacks_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO payments.chargebacks_state_moves VALUES ('', 'open'), ('', 'lost'), ('', 'won'), ('lost', 'won'), ('open', 'lost'), ('open', 'won')
;
CREATE FUNCTION payments.chargebacks_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = payments, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM payments.chargebacks_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'chargebacks cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'chargebacks_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM payments.chargebacks_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'chargebacks cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'chargebacks_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER chargebacks_state_moves_only_by_its_table_at_insert BEFORE INSERT ON payments.chargebacks
            FOR EACH ROW EXECUTE FUNCTION payments.chargebacks_state_moves_only_by_its_table()
;
CREATE TRIGGER chargebacks_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON payments.chargebacks
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION payments.chargebacks_state_moves_only_by_its_table()
;
CREATE TABLE payments.chargeback_reversals_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO payments.chargeback_reversals_state_moves VALUES ('', 'reversed')
;
CREATE FUNCTION payments.chargeback_reversals_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = payments, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM payments.chargeback_reversals_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'chargeback_reversals cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'chargeback_reversals_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM payments.chargeback_reversals_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'chargeback_reversals cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'chargeback_reversals_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER chargeback_reversals_state_moves_only_by_its_table_at_insert BEFORE INSERT ON payments.chargeback_reversals
            FOR EACH ROW EXECUTE FUNCTION payments.chargeback_reversals_state_moves_only_by_its_table()
;
CREATE TRIGGER chargeback_reversals_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON payments.chargeback_reversals
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION payments.chargeback_reversals_state_moves_only_by_its_table()
;
