CREATE TABLE payments.quoted_references (
	reference TEXT NOT NULL,
	purpose TEXT NOT NULL,
	order_id UUID,
	attempt_id UUID,
	refund_id UUID,
	entry_id UUID,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (reference),
	CONSTRAINT purpose_is_declared CHECK (purpose IN ('payment', 'refund', 'send_back')),
	CONSTRAINT a_send_back_names_its_entry CHECK ((purpose = 'send_back') = (entry_id IS NOT NULL)),
	CONSTRAINT the_others_name_their_order CHECK ((purpose = 'send_back') = (order_id IS NULL)),
	CONSTRAINT the_others_name_their_attempt CHECK ((purpose = 'send_back') = (attempt_id IS NULL)),
	CONSTRAINT a_payout_names_its_refund CHECK ((purpose = 'refund') = (refund_id IS NOT NULL))
)
;
CREATE INDEX references_of_an_order ON payments.quoted_references (order_id) WHERE order_id IS NOT NULL
;
CREATE TABLE payments.statements (
	id UUID NOT NULL,
	account TEXT NOT NULL,
	name TEXT NOT NULL,
	imported_by TEXT NOT NULL,
	entries BIGINT NOT NULL,
	matched BIGINT NOT NULL,
	unrelated BIGINT NOT NULL,
	repeated BIGINT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT no_entry_is_counted_twice CHECK (matched + unrelated <= entries),
	CONSTRAINT one_statement_per_name UNIQUE (account, name)
)
;
CREATE TABLE payments.statement_entries (
	id UUID NOT NULL,
	statement_id UUID NOT NULL,
	account TEXT NOT NULL,
	bank_reference TEXT NOT NULL,
	booked_on DATE NOT NULL,
	amount_minor BIGINT NOT NULL,
	currency TEXT NOT NULL,
	reversal BOOLEAN NOT NULL,
	reference TEXT NOT NULL,
	end_to_end_id TEXT NOT NULL,
	remittance TEXT NOT NULL,
	counterparty TEXT NOT NULL,
	counterparty_account TEXT NOT NULL,
	outcome TEXT NOT NULL,
	state TEXT NOT NULL,
	order_id UUID,
	kept_minor BIGINT NOT NULL,
	decided_by TEXT NOT NULL,
	reason TEXT NOT NULL,
	problem TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT state_is_declared CHECK (state IN ('matched', 'open', 'unrelated', 'assigned', 'sending_back', 'sent_back', 'dismissed')),
	CONSTRAINT outcome_is_declared CHECK (outcome IN ('paid', 'paid_late', 'paid_out', 'transfer_returned', 'unrelated', 'no_reference', 'unknown_reference', 'several_references', 'too_little', 'too_much', 'wrong_currency', 'paid_twice', 'paid_out_twice', 'payout_returned', 'unexpected')),
	CONSTRAINT an_entry_moves_money CHECK (amount_minor <> 0),
	CONSTRAINT what_no_rule_decided_a_person_did CHECK (state NOT IN ('assigned', 'sending_back', 'sent_back', 'dismissed') OR decided_by <> ''),
	CONSTRAINT assigned_means_to_an_order CHECK (state <> 'assigned' OR order_id IS NOT NULL),
	CONSTRAINT what_is_kept_leaves_a_rest CHECK (kept_minor = 0 OR kept_minor < amount_minor),
	CONSTRAINT an_entry_counts_once UNIQUE (account, bank_reference),
	CONSTRAINT an_entry_is_of_a_statement FOREIGN KEY(statement_id) REFERENCES payments.statements (id)
)
;
CREATE INDEX entries_for_a_person ON payments.statement_entries (booked_on) WHERE state IN ('open', 'sending_back')
;
CREATE INDEX entries_of_a_statement ON payments.statement_entries (statement_id)
;
CREATE INDEX entries_of_an_order ON payments.statement_entries (order_id) WHERE order_id IS NOT NULL
;
CREATE TABLE payments.statement_entries_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO payments.statement_entries_state_moves VALUES ('', 'matched'), ('', 'open'), ('', 'unrelated'), ('open', 'assigned'), ('open', 'dismissed'), ('open', 'sending_back'), ('sending_back', 'sent_back')
;
CREATE FUNCTION payments.statement_entries_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = payments, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM payments.statement_entries_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'statement_entries cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'statement_entries_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM payments.statement_entries_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'statement_entries cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'statement_entries_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER statement_entries_state_moves_only_by_its_table_at_insert BEFORE INSERT ON payments.statement_entries
            FOR EACH ROW EXECUTE FUNCTION payments.statement_entries_state_moves_only_by_its_table()
;
CREATE TRIGGER statement_entries_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON payments.statement_entries
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION payments.statement_entries_state_moves_only_by_its_table()
;
