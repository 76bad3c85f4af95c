CREATE TABLE payments.settlements (
	id UUID NOT NULL,
	provider TEXT NOT NULL,
	reference TEXT NOT NULL,
	hash TEXT NOT NULL,
	lines BIGINT NOT NULL,
	pages BIGINT NOT NULL,
	covers_from TIMESTAMP WITH TIME ZONE NOT NULL,
	state TEXT NOT NULL,
	pages_done BIGINT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT state_is_declared CHECK (state IN ('staged', 'matched')),
	CONSTRAINT no_more_pages_than_there_are CHECK (pages_done <= pages),
	CONSTRAINT a_report_is_imported_once UNIQUE (provider, reference)
)
;
CREATE TABLE payments.settlement_lines (
	id TEXT NOT NULL,
	settlement_id UUID NOT NULL,
	page TEXT NOT NULL,
	row_no INTEGER NOT NULL,
	provider TEXT NOT NULL,
	kind TEXT NOT NULL,
	provider_payment_id TEXT NOT NULL,
	reference TEXT NOT NULL,
	order_id UUID,
	amount_minor BIGINT NOT NULL,
	fee_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
	state TEXT NOT NULL,
	matches UUID,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT kind_is_declared CHECK (kind IN ('payment', 'refund', 'dispute', 'dispute_reversal', 'fee', 'payout')),
	CONSTRAINT state_is_declared CHECK (state IN ('open', 'matched', 'differing', 'accepted')),
	CONSTRAINT a_line_settles_something CHECK (amount_minor <> 0),
	CONSTRAINT a_line_is_of_a_report FOREIGN KEY(settlement_id) REFERENCES payments.settlements (id),
	CONSTRAINT a_line_settles_a_movement FOREIGN KEY(matches) REFERENCES payments.transfers (id)
)
;
CREATE UNIQUE INDEX a_movement_is_settled_once ON payments.settlement_lines (matches) WHERE matches IS NOT NULL
;
CREATE INDEX lines_of_a_page ON payments.settlement_lines (page)
;
CREATE INDEX lines_of_a_provider ON payments.settlement_lines (provider, occurred_at)
;
CREATE INDEX lines_of_an_order ON payments.settlement_lines (order_id)
;
CREATE TABLE payments.settlement_differences (
	id UUID NOT NULL,
	kind TEXT NOT NULL,
	provider TEXT NOT NULL,
	order_id UUID,
	line_id TEXT,
	transfer_id UUID,
	currency TEXT NOT NULL,
	ours_minor BIGINT NOT NULL,
	theirs_minor BIGINT NOT NULL,
	entry TEXT,
	entry_minor BIGINT NOT NULL,
	found_at TIMESTAMP WITH TIME ZONE NOT NULL,
	state TEXT NOT NULL,
	accepted_by TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT kind_is_declared CHECK (kind IN ('missing_here', 'missing_there', 'amount', 'fee', 'timing')),
	CONSTRAINT entry_is_declared CHECK (entry IN ('capture', 'refund_reserved', 'refund', 'refund_refused', 'chargeback', 'chargeback_reversed', 'payout', 'fee', 'fee_returned', 'surplus', 'shortfall')),
	CONSTRAINT state_is_declared CHECK (state IN ('found', 'accepted', 'cleared')),
	CONSTRAINT an_entry_has_an_amount CHECK ((entry IS NULL) = (entry_minor = 0)),
	CONSTRAINT a_difference_is_of_something CHECK (line_id IS NOT NULL OR transfer_id IS NOT NULL),
	CONSTRAINT somebody_accepted_it CHECK (state <> 'accepted' OR accepted_by <> ''),
	CONSTRAINT a_difference_is_of_a_line FOREIGN KEY(line_id) REFERENCES payments.settlement_lines (id),
	CONSTRAINT a_difference_is_of_a_movement FOREIGN KEY(transfer_id) REFERENCES payments.transfers (id)
)
;
CREATE INDEX differences_of_a_line ON payments.settlement_differences (line_id)
;
CREATE INDEX differences_of_a_movement ON payments.settlement_differences (transfer_id)
;
CREATE INDEX differences_of_an_order ON payments.settlement_differences (order_id)
;
CREATE INDEX differences_to_accept ON payments.settlement_differences (found_at) WHERE state = 'found'
;
CREATE TABLE payments.settlements_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO payments.settlements_state_moves VALUES ('', 'staged'), ('staged', 'matched')
;
CREATE FUNCTION payments.settlements_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = payments, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM payments.settlements_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'settlements cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'settlements_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM payments.settlements_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'settlements cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'settlements_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER settlements_state_moves_only_by_its_table_at_insert BEFORE INSERT ON payments.settlements
            FOR EACH ROW EXECUTE FUNCTION payments.settlements_state_moves_only_by_its_table()
;
CREATE TRIGGER settlements_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON payments.settlements
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION payments.settlements_state_moves_only_by_its_table()
;
CREATE TABLE payments.settlement_lines_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO payments.settlement_lines_state_moves VALUES ('', 'open'), ('differing', 'accepted'), ('open', 'differing'), ('open', 'matched')
;
CREATE FUNCTION payments.settlement_lines_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = payments, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM payments.settlement_lines_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'settlement_lines cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'settlement_lines_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM payments.settlement_lines_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'settlement_lines cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'settlement_lines_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER settlement_lines_state_moves_only_by_its_table_at_insert BEFORE INSERT ON payments.settlement_lines
            FOR EACH ROW EXECUTE FUNCTION payments.settlement_lines_state_moves_only_by_its_table()
;
CREATE TRIGGER settlement_lines_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON payments.settlement_lines
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION payments.settlement_lines_state_moves_only_by_its_table()
;
CREATE TABLE payments.settlement_differences_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO payments.settlement_differences_state_moves VALUES ('', 'found'), ('accepted', 'cleared'), ('found', 'accepted'), ('found', 'cleared')
;
CREATE FUNCTION payments.settlement_differences_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = payments, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM payments.settlement_differences_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'settlement_differences cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'settlement_differences_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM payments.settlement_differences_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'settlement_differences cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'settlement_differences_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER settlement_differences_state_moves_only_by_its_table_at_insert BEFORE INSERT ON payments.settlement_differences
            FOR EACH ROW EXECUTE FUNCTION payments.settlement_differences_state_moves_only_by_its_table()
;
CREATE TRIGGER settlement_differences_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON payments.settlement_differences
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION payments.settlement_differences_state_moves_only_by_its_table()
;
