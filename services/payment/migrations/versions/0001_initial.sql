CREATE TABLE payments.inbox (
            queue text NOT NULL,
            message_id uuid NOT NULL,
            state text NOT NULL DEFAULT 'done' CHECK (state IN ('done', 'waiting', 'trying')),
            attempts integer NOT NULL DEFAULT 0,
            PRIMARY KEY (message_id, queue)
        ) PARTITION BY RANGE (message_id)
;
CREATE TABLE payments.inbox_default PARTITION OF payments.inbox DEFAULT
;
CREATE TABLE payments.answers (
            command_key text PRIMARY KEY,
            content_hash text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'answered', 'withdrawn')),
            answer_type text NOT NULL DEFAULT '',
            answer text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )
;
CREATE TABLE payments.due (
            id uuid PRIMARY KEY,
            queue text NOT NULL,
            not_before timestamptz NOT NULL,
            head jsonb NOT NULL,
            body text NOT NULL,
            name text NOT NULL DEFAULT '',
            owner text NOT NULL DEFAULT '',
            attempts integer NOT NULL DEFAULT 0,
            first_tried timestamptz,
            error text NOT NULL DEFAULT ''
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
                autovacuum_vacuum_cost_delay = 1)
;
CREATE INDEX due_by_instant ON payments.due (not_before)
;
CREATE INDEX timers_by_owner ON payments.due (owner, name) WHERE name <> ''
;
CREATE TABLE payments.outbox (
            position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id uuid NOT NULL,
            shard smallint NOT NULL,
            subject text NOT NULL,
            destination text NOT NULL,
            public boolean NOT NULL,
            head text NOT NULL,
            body text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
                autovacuum_vacuum_cost_delay = 1)
;
CREATE TABLE payments.parked (
            id uuid PRIMARY KEY,
            queue text NOT NULL,
            command_key text NOT NULL DEFAULT '',
            head jsonb NOT NULL,
            body bytea NOT NULL,
            reason text NOT NULL,
            error text NOT NULL,
            attempts integer NOT NULL,
            state text NOT NULL DEFAULT 'parked' CHECK (state IN ('parked', 'replayed', 'dismissed')),
            parked_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )
;
CREATE UNIQUE INDEX parked_once_per_command ON payments.parked (command_key) WHERE command_key <> '' AND state = 'parked'
;
CREATE TABLE payments.attempts (
	id UUID NOT NULL,
	order_id UUID NOT NULL,
	kind TEXT NOT NULL,
	refund_id UUID,
	amount_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	token TEXT NOT NULL,
	webhook_url TEXT NOT NULL,
	provider_payment_id TEXT NOT NULL,
	state TEXT NOT NULL,
	outcome TEXT NOT NULL,
	tries INTEGER NOT NULL,
	next_at TIMESTAMP WITH TIME ZONE NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT state_is_declared CHECK (state IN ('open', 'calling', 'unknown', 'known', 'withdrawn')),
	CONSTRAINT kind_is_declared CHECK (kind IN ('authorize', 'capture', 'void', 'refund')),
	CONSTRAINT a_refund_attempt_names_its_refund CHECK ((kind = 'refund') = (refund_id IS NOT NULL)),
	CONSTRAINT known_means_an_outcome CHECK ((state = 'known') = (outcome <> '')),
	CONSTRAINT withdrawn_means_never_called CHECK (state <> 'withdrawn' OR tries = 0)
)
;
CREATE INDEX attempts_to_call ON payments.attempts (id) WHERE state = 'open'
;
CREATE TABLE payments.payments (
	order_id UUID NOT NULL,
	amount_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	method TEXT NOT NULL,
	state TEXT NOT NULL,
	authorize_key TEXT NOT NULL,
	attempt_id UUID,
	provider_payment_id TEXT NOT NULL,
	captured_minor BIGINT NOT NULL,
	refunded_minor BIGINT NOT NULL,
	refund_reserved_minor BIGINT NOT NULL,
	release_keys JSONB NOT NULL,
	release_reason TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (order_id),
	CONSTRAINT state_is_declared CHECK (state IN ('asked', 'pending', 'authorized', 'captured', 'declined', 'failed', 'withdrawing', 'voiding', 'returning', 'voided', 'returned')),
	CONSTRAINT amount_is_not_negative CHECK (amount_minor >= 0),
	CONSTRAINT captured_is_not_negative CHECK (captured_minor >= 0),
	CONSTRAINT refunded_is_not_negative CHECK (refunded_minor >= 0),
	CONSTRAINT reserved_is_not_negative CHECK (refund_reserved_minor >= 0),
	CONSTRAINT captured_never_above_amount CHECK (captured_minor <= amount_minor),
	CONSTRAINT refunded_never_above_captured CHECK (refunded_minor + refund_reserved_minor <= captured_minor),
	CONSTRAINT returned_means_all_given_back CHECK (state <> 'returned' OR (refunded_minor = captured_minor AND refund_reserved_minor = 0)),
	CONSTRAINT voided_means_nothing_taken CHECK (state <> 'voided' OR captured_minor = 0)
)
 WITH (fillfactor = 70)
;
CREATE TABLE payments.authorizations (
	id UUID NOT NULL,
	order_id UUID NOT NULL,
	amount_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	provider_payment_id TEXT NOT NULL,
	state TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT state_is_declared CHECK (state IN ('held', 'captured', 'voided')),
	CONSTRAINT authorization_is_positive CHECK (amount_minor > 0),
	CONSTRAINT an_authorization_is_of_a_payment FOREIGN KEY(order_id) REFERENCES payments.payments (order_id)
)
;
CREATE UNIQUE INDEX one_live_authorization_per_order ON payments.authorizations (order_id) WHERE state IN ('held', 'captured')
;
CREATE TABLE payments.captures (
	id UUID NOT NULL,
	order_id UUID NOT NULL,
	amount_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	state TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT state_is_declared CHECK (state IN ('captured')),
	CONSTRAINT capture_is_positive CHECK (amount_minor > 0),
	CONSTRAINT a_capture_is_of_a_payment FOREIGN KEY(order_id) REFERENCES payments.payments (order_id)
)
;
CREATE UNIQUE INDEX one_capture_per_order ON payments.captures (order_id)
;
CREATE TABLE payments.refunds (
	refund_id UUID NOT NULL,
	order_id UUID NOT NULL,
	amount_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	state TEXT NOT NULL,
	command_key TEXT NOT NULL,
	reason TEXT NOT NULL,
	refusal TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (refund_id),
	CONSTRAINT state_is_declared CHECK (state IN ('asked', 'refunded', 'refused')),
	CONSTRAINT refund_is_positive CHECK (amount_minor > 0),
	CONSTRAINT a_refund_is_of_a_payment FOREIGN KEY(order_id) REFERENCES payments.payments (order_id)
)
;
CREATE INDEX refunds_of_an_order ON payments.refunds (order_id)
;
CREATE TABLE payments.payments_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO payments.payments_state_moves VALUES ('', 'asked'), ('', 'captured'), ('', 'voided'), ('asked', 'authorized'), ('asked', 'captured'), ('asked', 'declined'), ('asked', 'pending'), ('asked', 'voided'), ('asked', 'withdrawing'), ('authorized', 'captured'), ('authorized', 'failed'), ('authorized', 'voiding'), ('captured', 'returning'), ('declined', 'returning'), ('declined', 'voiding'), ('failed', 'returning'), ('failed', 'voiding'), ('pending', 'authorized'), ('pending', 'captured'), ('pending', 'failed'), ('pending', 'voiding'), ('returning', 'returned'), ('voided', 'returning'), ('voided', 'voiding'), ('voiding', 'returning'), ('voiding', 'voided'), ('withdrawing', 'returning'), ('withdrawing', 'voided'), ('withdrawing', 'voiding')
;
CREATE FUNCTION payments.payments_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = payments, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM payments.payments_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'payments cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'payments_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM payments.payments_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'payments cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'payments_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER payments_state_moves_only_by_its_table_at_insert BEFORE INSERT ON payments.payments
            FOR EACH ROW EXECUTE FUNCTION payments.payments_state_moves_only_by_its_table()
;
CREATE TRIGGER payments_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON payments.payments
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION payments.payments_state_moves_only_by_its_table()
;
CREATE TABLE payments.authorizations_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO payments.authorizations_state_moves VALUES ('', 'captured'), ('', 'held'), ('held', 'captured'), ('held', 'voided'), ('voided', 'captured')
;
CREATE FUNCTION payments.authorizations_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = payments, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM payments.authorizations_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'authorizations cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'authorizations_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM payments.authorizations_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'authorizations cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'authorizations_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER authorizations_state_moves_only_by_its_table_at_insert BEFORE INSERT ON payments.authorizations
            FOR EACH ROW EXECUTE FUNCTION payments.authorizations_state_moves_only_by_its_table()
;
CREATE TRIGGER authorizations_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON payments.authorizations
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION payments.authorizations_state_moves_only_by_its_table()
;
CREATE TABLE payments.captures_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO payments.captures_state_moves VALUES ('', 'captured')
;
CREATE FUNCTION payments.captures_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = payments, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM payments.captures_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'captures cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'captures_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM payments.captures_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'captures cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'captures_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER captures_state_moves_only_by_its_table_at_insert BEFORE INSERT ON payments.captures
            FOR EACH ROW EXECUTE FUNCTION payments.captures_state_moves_only_by_its_table()
;
CREATE TRIGGER captures_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON payments.captures
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION payments.captures_state_moves_only_by_its_table()
;
CREATE TABLE payments.refunds_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO payments.refunds_state_moves VALUES ('', 'asked'), ('asked', 'refunded'), ('asked', 'refused')
;
CREATE FUNCTION payments.refunds_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = payments, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM payments.refunds_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'refunds cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM payments.refunds_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'refunds cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER refunds_state_moves_only_by_its_table_at_insert BEFORE INSERT ON payments.refunds
            FOR EACH ROW EXECUTE FUNCTION payments.refunds_state_moves_only_by_its_table()
;
CREATE TRIGGER refunds_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON payments.refunds
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION payments.refunds_state_moves_only_by_its_table()
;
CREATE TABLE payments.attempts_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO payments.attempts_state_moves VALUES ('', 'open'), ('calling', 'known'), ('calling', 'open'), ('calling', 'unknown'), ('open', 'calling'), ('open', 'known'), ('open', 'withdrawn'), ('unknown', 'known'), ('unknown', 'open')
;
CREATE FUNCTION payments.attempts_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = payments, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM payments.attempts_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'attempts cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'attempts_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM payments.attempts_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'attempts cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'attempts_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER attempts_state_moves_only_by_its_table_at_insert BEFORE INSERT ON payments.attempts
            FOR EACH ROW EXECUTE FUNCTION payments.attempts_state_moves_only_by_its_table()
;
CREATE TRIGGER attempts_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON payments.attempts
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION payments.attempts_state_moves_only_by_its_table()
;
