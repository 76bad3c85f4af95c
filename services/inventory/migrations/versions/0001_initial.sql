CREATE TABLE inventory.inbox (
            queue text NOT NULL,
            message_id uuid NOT NULL,
            state text NOT NULL DEFAULT 'done' CHECK (state IN ('done', 'waiting', 'trying')),
            attempts integer NOT NULL DEFAULT 0,
            PRIMARY KEY (message_id, queue)
        ) PARTITION BY RANGE (message_id)
;
CREATE TABLE inventory.inbox_default PARTITION OF inventory.inbox DEFAULT
;
CREATE TABLE inventory.answers (
            command_key text PRIMARY KEY,
            content_hash text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'answered', 'withdrawn')),
            answer_type text NOT NULL DEFAULT '',
            answer text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )
;
CREATE TABLE inventory.due (
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
CREATE INDEX due_by_instant ON inventory.due (not_before)
;
CREATE INDEX timers_by_owner ON inventory.due (owner, name) WHERE name <> ''
;
CREATE TABLE inventory.outbox (
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
CREATE TABLE inventory.parked (
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
CREATE UNIQUE INDEX parked_once_per_command ON inventory.parked (command_key) WHERE command_key <> '' AND state = 'parked'
;
CREATE TABLE inventory.movements (
	id UUID NOT NULL,
	sku TEXT NOT NULL,
	warehouse TEXT NOT NULL,
	kind TEXT NOT NULL,
	quantity BIGINT NOT NULL,
	on_hand_delta BIGINT NOT NULL,
	held_delta BIGINT NOT NULL,
	allocated_delta BIGINT NOT NULL,
	order_id UUID,
	reference TEXT NOT NULL,
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
	message_id TEXT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT kind_is_declared CHECK (kind IN ('receipt', 'hold', 'release', 'allocate', 'ship', 'restock', 'dispose', 'correction')),
	CONSTRAINT a_movement_moves_something CHECK (quantity > 0)
)
;
CREATE TABLE inventory.receipts (
	reference TEXT NOT NULL,
	lines JSONB NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (reference)
)
;
CREATE TABLE inventory.reservations (
	order_id UUID NOT NULL,
	status TEXT NOT NULL,
	held_until TIMESTAMP WITH TIME ZONE NOT NULL,
	hold_key TEXT NOT NULL,
	picks JSONB NOT NULL,
	fulfillments JSONB NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (order_id),
	CONSTRAINT status_is_declared CHECK (status IN ('held', 'committed', 'expired', 'released', 'shipped'))
)
 WITH (fillfactor = 70)
;
CREATE TABLE inventory.warehouses (
	code TEXT NOT NULL,
	name TEXT NOT NULL,
	priority INTEGER NOT NULL,
	network TEXT NOT NULL,
	described_at TIMESTAMP WITH TIME ZONE,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (code),
	CONSTRAINT priority_is_not_negative CHECK (priority >= 0)
)
;
CREATE TABLE inventory.shelves (
	sku TEXT NOT NULL,
	warehouse TEXT NOT NULL,
	on_hand BIGINT NOT NULL,
	held BIGINT NOT NULL,
	allocated BIGINT NOT NULL,
	safety_stock BIGINT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (sku, warehouse),
	CONSTRAINT on_hand_is_not_negative CHECK (on_hand >= 0),
	CONSTRAINT held_is_not_negative CHECK (held >= 0),
	CONSTRAINT allocated_is_not_negative CHECK (allocated >= 0),
	CONSTRAINT safety_stock_is_not_negative CHECK (safety_stock >= 0),
	CONSTRAINT never_oversold CHECK (on_hand - held - allocated >= 0),
	CONSTRAINT a_shelf_stands_in_a_warehouse FOREIGN KEY(warehouse) REFERENCES inventory.warehouses (code)
)
 WITH (fillfactor = 50)
;
CREATE TABLE inventory.reservations_status_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO inventory.reservations_status_moves VALUES ('', 'held'), ('committed', 'released'), ('committed', 'shipped'), ('expired', 'committed'), ('expired', 'released'), ('held', 'committed'), ('held', 'expired'), ('held', 'released')
;
CREATE FUNCTION inventory.reservations_status_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = inventory, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM inventory.reservations_status_moves WHERE origin = '' AND target = NEW.status) THEN
                    RAISE EXCEPTION 'reservations cannot start as %', NEW.status
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'reservations_status_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM inventory.reservations_status_moves WHERE origin = OLD.status AND target = NEW.status) THEN
                RAISE EXCEPTION 'reservations cannot go from % to %', OLD.status, NEW.status
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'reservations_status_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER reservations_status_moves_only_by_its_table_at_insert BEFORE INSERT ON inventory.reservations
            FOR EACH ROW EXECUTE FUNCTION inventory.reservations_status_moves_only_by_its_table()
;
CREATE TRIGGER reservations_status_moves_only_by_its_table_at_update BEFORE UPDATE OF status ON inventory.reservations
            FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION inventory.reservations_status_moves_only_by_its_table()
;
