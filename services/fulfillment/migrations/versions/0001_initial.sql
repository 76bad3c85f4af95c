CREATE TABLE fulfillment.inbox (
            queue text NOT NULL,
            message_id uuid NOT NULL,
            state text NOT NULL DEFAULT 'done' CHECK (state IN ('done', 'waiting', 'trying')),
            attempts integer NOT NULL DEFAULT 0,
            PRIMARY KEY (message_id, queue)
        ) PARTITION BY RANGE (message_id)
;
CREATE TABLE fulfillment.inbox_default PARTITION OF fulfillment.inbox DEFAULT
;
CREATE TABLE fulfillment.answers (
            command_key text PRIMARY KEY,
            content_hash text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'answered', 'withdrawn')),
            answer_type text NOT NULL DEFAULT '',
            answer text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )
;
CREATE TABLE fulfillment.due (
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
CREATE INDEX due_by_instant ON fulfillment.due (not_before)
;
CREATE INDEX timers_by_owner ON fulfillment.due (owner, name) WHERE name <> ''
;
CREATE TABLE fulfillment.outbox (
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
CREATE TABLE fulfillment.parked (
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
CREATE UNIQUE INDEX parked_once_per_command ON fulfillment.parked (command_key) WHERE command_key <> '' AND state = 'parked'
;
CREATE TABLE fulfillment.fulfillment_events (
	fulfillment_id UUID NOT NULL,
	version BIGINT NOT NULL,
	verdict TEXT NOT NULL,
	origin TEXT NOT NULL,
	state TEXT NOT NULL,
	reported TEXT NOT NULL,
	report_id TEXT NOT NULL,
	source TEXT NOT NULL,
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	CONSTRAINT one_event_per_version PRIMARY KEY (fulfillment_id, version),
	CONSTRAINT verdict_is_declared CHECK (verdict IN ('moved', 'late', 'contradicted')),
	CONSTRAINT state_is_declared CHECK (state IN ('pending', 'acknowledged', 'picking', 'picked', 'packing', 'packed', 'labeled', 'shipped', 'delivered', 'on_hold', 'awaiting_stock', 'in_production', 'cancelled', 'rejected', 'lost'))
)
;
CREATE TABLE fulfillment.fulfillments (
	id UUID NOT NULL,
	order_id UUID NOT NULL,
	warehouse TEXT NOT NULL,
	ship_to JSONB NOT NULL,
	picks JSONB NOT NULL,
	state TEXT NOT NULL,
	reached TEXT NOT NULL,
	reported_at TIMESTAMP WITH TIME ZONE,
	carrier TEXT NOT NULL,
	tracking_number TEXT NOT NULL,
	heard JSONB NOT NULL,
	version BIGINT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT state_is_declared CHECK (state IN ('pending', 'acknowledged', 'picking', 'picked', 'packing', 'packed', 'labeled', 'shipped', 'delivered', 'on_hold', 'awaiting_stock', 'in_production', 'cancelled', 'rejected', 'lost')),
	CONSTRAINT reached_is_on_the_line CHECK (reached IN ('pending', 'acknowledged', 'picking', 'picked', 'packing', 'packed', 'labeled', 'shipped', 'delivered', 'lost')),
	CONSTRAINT a_shipment_ships_something CHECK (jsonb_array_length(picks) > 0)
)
;
CREATE INDEX fulfillments_by_order ON fulfillment.fulfillments (order_id)
;
CREATE TABLE fulfillment.fulfillments_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO fulfillment.fulfillments_state_moves VALUES ('', 'pending'), ('acknowledged', 'awaiting_stock'), ('acknowledged', 'cancelled'), ('acknowledged', 'in_production'), ('acknowledged', 'on_hold'), ('acknowledged', 'picking'), ('acknowledged', 'rejected'), ('awaiting_stock', 'acknowledged'), ('awaiting_stock', 'cancelled'), ('awaiting_stock', 'pending'), ('awaiting_stock', 'picking'), ('awaiting_stock', 'rejected'), ('in_production', 'acknowledged'), ('in_production', 'cancelled'), ('in_production', 'pending'), ('in_production', 'rejected'), ('labeled', 'cancelled'), ('labeled', 'on_hold'), ('labeled', 'rejected'), ('labeled', 'shipped'), ('lost', 'delivered'), ('on_hold', 'acknowledged'), ('on_hold', 'cancelled'), ('on_hold', 'labeled'), ('on_hold', 'packed'), ('on_hold', 'packing'), ('on_hold', 'pending'), ('on_hold', 'picked'), ('on_hold', 'picking'), ('on_hold', 'rejected'), ('packed', 'cancelled'), ('packed', 'labeled'), ('packed', 'on_hold'), ('packed', 'rejected'), ('packing', 'cancelled'), ('packing', 'on_hold'), ('packing', 'packed'), ('packing', 'rejected'), ('pending', 'acknowledged'), ('pending', 'awaiting_stock'), ('pending', 'cancelled'), ('pending', 'in_production'), ('pending', 'on_hold'), ('pending', 'rejected'), ('picked', 'cancelled'), ('picked', 'on_hold'), ('picked', 'packing'), ('picked', 'rejected'), ('picking', 'awaiting_stock'), ('picking', 'cancelled'), ('picking', 'on_hold'), ('picking', 'picked'), ('picking', 'rejected'), ('shipped', 'delivered'), ('shipped', 'lost')
;
CREATE FUNCTION fulfillment.fulfillments_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = fulfillment, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM fulfillment.fulfillments_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'fulfillments cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'fulfillments_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM fulfillment.fulfillments_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'fulfillments cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'fulfillments_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER fulfillments_state_moves_only_by_its_table_at_insert BEFORE INSERT ON fulfillment.fulfillments
            FOR EACH ROW EXECUTE FUNCTION fulfillment.fulfillments_state_moves_only_by_its_table()
;
CREATE TRIGGER fulfillments_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON fulfillment.fulfillments
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION fulfillment.fulfillments_state_moves_only_by_its_table()
;
