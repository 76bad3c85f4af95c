CREATE TABLE orders.inbox (
            queue text NOT NULL,
            message_id uuid NOT NULL,
            state text NOT NULL DEFAULT 'done' CHECK (state IN ('done', 'waiting', 'trying')),
            attempts integer NOT NULL DEFAULT 0,
            PRIMARY KEY (message_id, queue)
        ) PARTITION BY RANGE (message_id)
;
CREATE TABLE orders.inbox_default PARTITION OF orders.inbox DEFAULT
;
CREATE TABLE orders.answers (
            command_key text PRIMARY KEY,
            content_hash text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'answered', 'withdrawn')),
            answer_type text NOT NULL DEFAULT '',
            answer text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )
;
CREATE TABLE orders.due (
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
CREATE INDEX due_by_instant ON orders.due (not_before)
;
CREATE INDEX timers_by_owner ON orders.due (owner, name) WHERE name <> ''
;
CREATE TABLE orders.outbox (
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
CREATE TABLE orders.parked (
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
CREATE UNIQUE INDEX parked_once_per_command ON orders.parked (command_key) WHERE command_key <> '' AND state = 'parked'
;
CREATE TABLE orders.order_events (
	order_id UUID NOT NULL,
	sequence BIGINT NOT NULL,
	public_sequence BIGINT,
	name TEXT NOT NULL,
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
	actor_kind TEXT NOT NULL,
	actor TEXT NOT NULL,
	reason TEXT NOT NULL,
	metadata JSONB NOT NULL,
	message_id TEXT NOT NULL,
	event_id UUID,
	event_type TEXT,
	event JSONB,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	CONSTRAINT one_line_per_sequence PRIMARY KEY (order_id, sequence),
	CONSTRAINT actor_is_of_a_declared_kind CHECK (actor_kind IN ('customer', 'agent', 'service', 'provider')),
	CONSTRAINT sequences_start_at_one CHECK (sequence >= 1 AND public_sequence <= sequence),
	CONSTRAINT public_is_public_whole CHECK ((public_sequence IS NULL AND event_id IS NULL AND event_type IS NULL AND event IS NULL) OR (public_sequence IS NOT NULL AND event_id IS NOT NULL AND event_type IS NOT NULL AND event IS NOT NULL))
)
;
CREATE TABLE orders.orders (
	id UUID NOT NULL,
	storefront TEXT NOT NULL,
	checkout_id TEXT NOT NULL,
	customer_reference TEXT NOT NULL,
	email TEXT NOT NULL,
	currency TEXT NOT NULL,
	shipping_address JSONB NOT NULL,
	billing_address JSONB NOT NULL,
	goods_minor BIGINT NOT NULL,
	discount_minor BIGINT NOT NULL,
	tax_minor BIGINT NOT NULL,
	shipping_minor BIGINT NOT NULL,
	shipping_tax_minor BIGINT NOT NULL,
	total_minor BIGINT NOT NULL,
	refunded_minor BIGINT NOT NULL,
	refund_reserved_minor BIGINT NOT NULL,
	state TEXT NOT NULL,
	refund_standing TEXT NOT NULL,
	last_sequence BIGINT NOT NULL,
	last_public_sequence BIGINT NOT NULL,
	deleted_at TIMESTAMP WITH TIME ZONE,
	version BIGINT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT one_order_per_checkout UNIQUE (checkout_id, storefront),
	CONSTRAINT state_is_declared CHECK (state IN ('created', 'payment_pending', 'paid', 'processing', 'partially_fulfilled', 'fulfilled', 'shipped', 'delivered', 'completed', 'cancelled', 'returned')),
	CONSTRAINT refund_standing_is_declared CHECK (refund_standing IN ('not_refunded', 'partially_refunded', 'refunded')),
	CONSTRAINT currency_is_a_code CHECK (currency ~ '^[A-Z]{3}$'),
	CONSTRAINT no_sum_is_negative CHECK (goods_minor >= 0 AND discount_minor >= 0 AND tax_minor >= 0 AND shipping_minor >= 0 AND shipping_tax_minor >= 0 AND total_minor >= 0),
	CONSTRAINT discount_is_within_goods CHECK (discount_minor <= goods_minor),
	CONSTRAINT totals_add_up CHECK (total_minor = goods_minor - discount_minor + tax_minor + shipping_minor + shipping_tax_minor),
	CONSTRAINT refunds_stay_within_the_total CHECK (refunded_minor >= 0 AND refund_reserved_minor >= 0 AND refunded_minor + refund_reserved_minor <= total_minor),
	CONSTRAINT refund_standing_tells_the_sum CHECK ((refund_standing = 'not_refunded' AND refunded_minor = 0) OR (refund_standing = 'partially_refunded' AND refunded_minor > 0 AND refunded_minor < total_minor) OR (refund_standing = 'refunded' AND refunded_minor > 0 AND refunded_minor = total_minor)),
	CONSTRAINT public_is_part_of_the_story CHECK (last_sequence >= last_public_sequence AND last_public_sequence >= 0)
)
;
CREATE TABLE orders.order_items (
	order_id UUID NOT NULL,
	line_no INTEGER NOT NULL,
	sku TEXT NOT NULL,
	quantity BIGINT NOT NULL,
	unit_price_minor BIGINT NOT NULL,
	discount_minor BIGINT NOT NULL,
	tax_minor BIGINT NOT NULL,
	subtotal_minor BIGINT NOT NULL,
	status TEXT NOT NULL,
	labeled_quantity BIGINT NOT NULL,
	shipped_quantity BIGINT NOT NULL,
	delivered_quantity BIGINT NOT NULL,
	version BIGINT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	CONSTRAINT one_item_per_order_line PRIMARY KEY (order_id, line_no),
	CONSTRAINT status_is_declared CHECK (status IN ('awaiting_stock', 'reserved', 'backordered', 'preordered', 'in_production', 'in_fulfillment', 'shipped', 'delivered', 'cancelled', 'returned')),
	CONSTRAINT a_line_has_a_number_and_goods CHECK (line_no >= 1 AND quantity >= 1),
	CONSTRAINT no_part_of_a_line_is_negative CHECK (unit_price_minor >= 0 AND tax_minor >= 0 AND discount_minor >= 0 AND discount_minor <= quantity * unit_price_minor),
	CONSTRAINT subtotal_adds_up CHECK (subtotal_minor = quantity * unit_price_minor - discount_minor + tax_minor),
	CONSTRAINT what_arrived_left_and_was_labeled CHECK (0 <= delivered_quantity AND delivered_quantity <= shipped_quantity AND shipped_quantity <= labeled_quantity AND labeled_quantity <= quantity),
	CONSTRAINT delivered_is_all_of_it CHECK (status <> 'delivered' OR delivered_quantity = quantity),
	CONSTRAINT item_is_of_an_order FOREIGN KEY(order_id) REFERENCES orders.orders (id)
)
;
CREATE TABLE orders.order_refunds (
	id UUID NOT NULL,
	order_id UUID NOT NULL,
	amount_minor BIGINT NOT NULL,
	reason TEXT NOT NULL,
	state TEXT NOT NULL,
	version BIGINT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT state_is_declared CHECK (state IN ('opened', 'settled', 'abandoned')),
	CONSTRAINT a_refund_gives_something_back CHECK (amount_minor > 0),
	CONSTRAINT refund_is_of_an_order FOREIGN KEY(order_id) REFERENCES orders.orders (id)
)
;
CREATE INDEX order_refunds_by_order ON orders.order_refunds (order_id)
;
CREATE TABLE orders.order_shipments (
	order_id UUID NOT NULL,
	fulfillment_id UUID NOT NULL,
	warehouse TEXT NOT NULL,
	status TEXT NOT NULL,
	picks JSONB NOT NULL,
	carrier TEXT NOT NULL,
	tracking_number TEXT NOT NULL,
	heard JSONB NOT NULL,
	version BIGINT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	CONSTRAINT one_row_per_shipment_of_an_order PRIMARY KEY (order_id, fulfillment_id),
	CONSTRAINT status_is_declared CHECK (status IN ('pending', 'acknowledged', 'picking', 'picked', 'packing', 'packed', 'labeled', 'shipped', 'delivered', 'on_hold', 'awaiting_stock', 'in_production', 'cancelled', 'rejected', 'lost')),
	CONSTRAINT shipment_is_of_an_order FOREIGN KEY(order_id) REFERENCES orders.orders (id)
)
;
CREATE TABLE orders.orders_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO orders.orders_state_moves VALUES ('', 'created'), ('completed', 'returned'), ('created', 'cancelled'), ('created', 'payment_pending'), ('delivered', 'completed'), ('delivered', 'returned'), ('fulfilled', 'cancelled'), ('fulfilled', 'shipped'), ('paid', 'cancelled'), ('paid', 'processing'), ('partially_fulfilled', 'cancelled'), ('partially_fulfilled', 'fulfilled'), ('payment_pending', 'cancelled'), ('payment_pending', 'paid'), ('processing', 'cancelled'), ('processing', 'fulfilled'), ('processing', 'partially_fulfilled'), ('shipped', 'delivered'), ('shipped', 'returned')
;
CREATE FUNCTION orders.orders_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = orders, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM orders.orders_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'orders cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'orders_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM orders.orders_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'orders cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'orders_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER orders_state_moves_only_by_its_table_at_insert BEFORE INSERT ON orders.orders
            FOR EACH ROW EXECUTE FUNCTION orders.orders_state_moves_only_by_its_table()
;
CREATE TRIGGER orders_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON orders.orders
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION orders.orders_state_moves_only_by_its_table()
;
CREATE TABLE orders.orders_refund_standing_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO orders.orders_refund_standing_moves VALUES ('', 'not_refunded'), ('not_refunded', 'partially_refunded'), ('not_refunded', 'refunded'), ('partially_refunded', 'partially_refunded'), ('partially_refunded', 'refunded')
;
CREATE FUNCTION orders.orders_refund_standing_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = orders, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM orders.orders_refund_standing_moves WHERE origin = '' AND target = NEW.refund_standing) THEN
                    RAISE EXCEPTION 'orders cannot start as %', NEW.refund_standing
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'orders_refund_standing_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM orders.orders_refund_standing_moves WHERE origin = OLD.refund_standing AND target = NEW.refund_standing) THEN
                RAISE EXCEPTION 'orders cannot go from % to %', OLD.refund_standing, NEW.refund_standing
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'orders_refund_standing_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER orders_refund_standing_moves_only_by_its_table_at_insert BEFORE INSERT ON orders.orders
            FOR EACH ROW EXECUTE FUNCTION orders.orders_refund_standing_moves_only_by_its_table()
;
CREATE TRIGGER orders_refund_standing_moves_only_by_its_table_at_update BEFORE UPDATE OF refund_standing ON orders.orders
            FOR EACH ROW WHEN (OLD.refund_standing IS DISTINCT FROM NEW.refund_standing) EXECUTE FUNCTION orders.orders_refund_standing_moves_only_by_its_table()
;
CREATE TABLE orders.order_items_status_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO orders.order_items_status_moves VALUES ('', 'awaiting_stock'), ('awaiting_stock', 'backordered'), ('awaiting_stock', 'cancelled'), ('awaiting_stock', 'in_production'), ('awaiting_stock', 'preordered'), ('awaiting_stock', 'reserved'), ('backordered', 'cancelled'), ('backordered', 'reserved'), ('delivered', 'returned'), ('in_fulfillment', 'cancelled'), ('in_fulfillment', 'reserved'), ('in_fulfillment', 'shipped'), ('in_production', 'cancelled'), ('in_production', 'reserved'), ('preordered', 'cancelled'), ('preordered', 'reserved'), ('reserved', 'backordered'), ('reserved', 'cancelled'), ('reserved', 'in_fulfillment'), ('reserved', 'in_production'), ('shipped', 'delivered'), ('shipped', 'returned')
;
CREATE FUNCTION orders.order_items_status_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = orders, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM orders.order_items_status_moves WHERE origin = '' AND target = NEW.status) THEN
                    RAISE EXCEPTION 'order_items cannot start as %', NEW.status
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'order_items_status_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM orders.order_items_status_moves WHERE origin = OLD.status AND target = NEW.status) THEN
                RAISE EXCEPTION 'order_items cannot go from % to %', OLD.status, NEW.status
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'order_items_status_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER order_items_status_moves_only_by_its_table_at_insert BEFORE INSERT ON orders.order_items
            FOR EACH ROW EXECUTE FUNCTION orders.order_items_status_moves_only_by_its_table()
;
CREATE TRIGGER order_items_status_moves_only_by_its_table_at_update BEFORE UPDATE OF status ON orders.order_items
            FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION orders.order_items_status_moves_only_by_its_table()
;
CREATE TABLE orders.order_refunds_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO orders.order_refunds_state_moves VALUES ('', 'opened'), ('opened', 'abandoned'), ('opened', 'settled')
;
CREATE FUNCTION orders.order_refunds_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = orders, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM orders.order_refunds_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'order_refunds cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'order_refunds_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM orders.order_refunds_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'order_refunds cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'order_refunds_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER order_refunds_state_moves_only_by_its_table_at_insert BEFORE INSERT ON orders.order_refunds
            FOR EACH ROW EXECUTE FUNCTION orders.order_refunds_state_moves_only_by_its_table()
;
CREATE TRIGGER order_refunds_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON orders.order_refunds
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION orders.order_refunds_state_moves_only_by_its_table()
;
