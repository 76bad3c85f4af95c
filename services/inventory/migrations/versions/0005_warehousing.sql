ALTER TABLE inventory.movements
    DROP CONSTRAINT kind_is_declared,
    ADD CONSTRAINT kind_is_declared CHECK (kind IN ('receipt', 'hold', 'release', 'allocate', 'ship', 'restock', 'dispose', 'correction', 'transfer_out', 'transfer_in'))
;
ALTER TABLE inventory.shelves
    ADD COLUMN moved_at TIMESTAMP WITH TIME ZONE DEFAULT now(),
    ADD COLUMN safety_stock_at TIMESTAMP WITH TIME ZONE
;
ALTER TABLE inventory.shelves ALTER COLUMN moved_at DROP DEFAULT
;
CREATE TABLE inventory.corrections (
    reference TEXT NOT NULL,
    sku TEXT NOT NULL,
    warehouse TEXT NOT NULL,
    delta BIGINT NOT NULL,
    reason TEXT NOT NULL,
    corrected_by TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (reference),
    CONSTRAINT a_correction_corrects_something CHECK (delta <> 0),
    CONSTRAINT a_correction_has_a_reason CHECK (length(reason) > 0)
)
;
CREATE TABLE inventory.count_sheets (
    reference TEXT NOT NULL,
    warehouse TEXT NOT NULL,
    counts JSONB NOT NULL,
    as_of TIMESTAMP WITH TIME ZONE NOT NULL,
    counted_by TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (reference)
)
;
CREATE INDEX movements_by_order ON inventory.movements (order_id)
;
CREATE INDEX movements_by_shelf ON inventory.movements (sku, warehouse, occurred_at)
;
CREATE TABLE inventory.returns (
    return_id TEXT NOT NULL,
    order_id UUID NOT NULL,
    warehouse TEXT NOT NULL,
    lines JSONB NOT NULL,
    as_of TIMESTAMP WITH TIME ZONE NOT NULL,
    version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (return_id)
)
;
CREATE INDEX returns_by_order ON inventory.returns (order_id)
;
CREATE TABLE inventory.stock_takes (
    reference TEXT NOT NULL,
    sku TEXT NOT NULL,
    warehouse TEXT NOT NULL,
    expected BIGINT NOT NULL,
    counted BIGINT NOT NULL,
    difference BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    as_of TIMESTAMP WITH TIME ZONE NOT NULL,
    counted_by TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (reference, sku),
    CONSTRAINT outcome_is_declared CHECK (outcome IN ('agreed', 'corrected', 'moved_since', 'below_zero')),
    CONSTRAINT a_difference_is_what_was_counted_too_much CHECK (difference = counted - expected)
)
;
CREATE TABLE inventory.transfers (
    id TEXT NOT NULL,
    origin TEXT NOT NULL,
    destination TEXT NOT NULL,
    lines JSONB NOT NULL,
    arrived JSONB NOT NULL,
    state TEXT NOT NULL,
    refusal TEXT NOT NULL,
    reason TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
    sent_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT state_is_declared CHECK (state IN ('requested', 'sent', 'received', 'cancelled', 'lost')),
    CONSTRAINT a_transfer_goes_somewhere_else CHECK (origin <> destination)
)
;
CREATE INDEX transfers_under_way ON inventory.transfers (id) WHERE state IN ('requested', 'sent')
;
CREATE TABLE inventory.transfers_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO inventory.transfers_state_moves VALUES ('', 'requested'), ('requested', 'cancelled'), ('requested', 'sent'), ('sent', 'lost'), ('sent', 'received')
;
CREATE FUNCTION inventory.transfers_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = inventory, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM inventory.transfers_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'transfers cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'transfers_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM inventory.transfers_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'transfers cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'transfers_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER transfers_state_moves_only_by_its_table_at_insert BEFORE INSERT ON inventory.transfers
            FOR EACH ROW EXECUTE FUNCTION inventory.transfers_state_moves_only_by_its_table()
;
CREATE TRIGGER transfers_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON inventory.transfers
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION inventory.transfers_state_moves_only_by_its_table()
;
