ALTER TABLE inventory.reservations ADD COLUMN waits JSONB NOT NULL DEFAULT '[]'
;
CREATE TABLE inventory.waiting_lines (
	order_id UUID NOT NULL, 
	sku TEXT NOT NULL, 
	quantity BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	promised_at TIMESTAMP WITH TIME ZONE NOT NULL, 
	status TEXT NOT NULL, 
	queue TEXT, 
	version INTEGER NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	PRIMARY KEY (order_id, sku), 
	CONSTRAINT status_is_declared CHECK (status IN ('waiting', 'served', 'withdrawn')), 
	CONSTRAINT a_line_waits_for_something CHECK (quantity > 0), 
	CONSTRAINT kind_is_declared CHECK (kind IN ('backorder', 'preorder', 'production')), 
	CONSTRAINT who_waits_is_in_a_queue CHECK ((status = 'waiting') = (queue IS NOT NULL))
)
;
CREATE INDEX waiting_lines_by_promise ON inventory.waiting_lines (queue, promised_at, order_id) WHERE queue IS NOT NULL
;
CREATE TABLE inventory.backlogs (
	sku TEXT NOT NULL, 
	units BIGINT NOT NULL, 
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL, 
	PRIMARY KEY (sku), 
	CONSTRAINT units_are_not_negative CHECK (units >= 0)
)
 WITH (fillfactor = 50)
;
CREATE TABLE inventory.waiting_lines_status_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO inventory.waiting_lines_status_moves VALUES ('', 'waiting'), ('served', 'waiting'), ('waiting', 'served'), ('waiting', 'withdrawn'), ('withdrawn', 'waiting')
;
CREATE FUNCTION inventory.waiting_lines_status_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = inventory, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM inventory.waiting_lines_status_moves WHERE origin = '' AND target = NEW.status) THEN
                    RAISE EXCEPTION 'waiting_lines cannot start as %', NEW.status
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'waiting_lines_status_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM inventory.waiting_lines_status_moves WHERE origin = OLD.status AND target = NEW.status) THEN
                RAISE EXCEPTION 'waiting_lines cannot go from % to %', OLD.status, NEW.status
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'waiting_lines_status_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER waiting_lines_status_moves_only_by_its_table_at_insert BEFORE INSERT ON inventory.waiting_lines
            FOR EACH ROW EXECUTE FUNCTION inventory.waiting_lines_status_moves_only_by_its_table()
;
CREATE TRIGGER waiting_lines_status_moves_only_by_its_table_at_update BEFORE UPDATE OF status ON inventory.waiting_lines
            FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION inventory.waiting_lines_status_moves_only_by_its_table()
;
