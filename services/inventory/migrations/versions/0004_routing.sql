ALTER TABLE inventory.warehouses
    ADD COLUMN latitude DOUBLE PRECISION,
    ADD COLUMN longitude DOUBLE PRECISION,
    ADD COLUMN shipment_minor BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN bands JSONB NOT NULL DEFAULT '[]',
    ADD COLUMN daily_shipments BIGINT,
    ADD CONSTRAINT coordinates_come_together CHECK ((latitude IS NULL) = (longitude IS NULL)),
    ADD CONSTRAINT a_shipment_costs_nothing_or_more CHECK (shipment_minor >= 0),
    ADD CONSTRAINT daily_capacity_is_not_negative CHECK (daily_shipments >= 0)
;
CREATE TABLE inventory.bookings (
    order_id UUID NOT NULL,
    day DATE NOT NULL,
    warehouses JSONB NOT NULL,
    version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (order_id)
)
;
CREATE TABLE inventory.questions (
    id UUID NOT NULL,
    order_id UUID NOT NULL,
    command_key TEXT NOT NULL,
    number INTEGER NOT NULL,
    hold JSONB NOT NULL,
    problem JSONB NOT NULL,
    state TEXT NOT NULL,
    tries INTEGER NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT state_is_declared CHECK (state IN ('open', 'calling', 'known', 'withdrawn')),
    CONSTRAINT questions_count_from_one CHECK (number >= 1)
)
;
CREATE INDEX questions_of_an_order ON inventory.questions (order_id)
;
CREATE INDEX questions_to_ask ON inventory.questions (id) WHERE state = 'open'
;
CREATE TABLE inventory.routes (
    id UUID NOT NULL,
    order_id UUID NOT NULL,
    strategy TEXT NOT NULL,
    chosen JSONB NOT NULL,
    cost_minor BIGINT,
    gap_permille INTEGER,
    candidates JSONB NOT NULL,
    note TEXT NOT NULL,
    decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
    message_id TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT strategy_is_declared CHECK (strategy IN ('priority', 'nearest', 'cheapest')),
    CONSTRAINT a_route_costs_nothing_or_more CHECK (cost_minor >= 0),
    CONSTRAINT a_gap_is_a_share CHECK (gap_permille >= 0 AND gap_permille <= 1000)
)
;
CREATE INDEX routes_of_an_order ON inventory.routes (order_id)
;
CREATE TABLE inventory.dispatches (
    warehouse TEXT NOT NULL,
    day DATE NOT NULL,
    shipments BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (warehouse),
    CONSTRAINT shipments_are_not_negative CHECK (shipments >= 0),
    CONSTRAINT a_dispatch_is_of_a_warehouse FOREIGN KEY(warehouse) REFERENCES inventory.warehouses (code)
)
 WITH (fillfactor = 50)
;
CREATE TABLE inventory.questions_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO inventory.questions_state_moves VALUES ('', 'open'), ('calling', 'known'), ('calling', 'open'), ('calling', 'withdrawn'), ('open', 'calling'), ('open', 'known'), ('open', 'withdrawn')
;
CREATE FUNCTION inventory.questions_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = inventory, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM inventory.questions_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'questions cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'questions_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM inventory.questions_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'questions cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'questions_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER questions_state_moves_only_by_its_table_at_insert BEFORE INSERT ON inventory.questions
            FOR EACH ROW EXECUTE FUNCTION inventory.questions_state_moves_only_by_its_table()
;
CREATE TRIGGER questions_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON inventory.questions
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION inventory.questions_state_moves_only_by_its_table()
;
