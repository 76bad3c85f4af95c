ALTER TABLE inventory.reservations ADD COLUMN terms JSONB NOT NULL DEFAULT '{}'
;
INSERT INTO inventory.reservations_status_moves VALUES ('shipped', 'committed')
;
CREATE TABLE inventory.shortages (
	id UUID NOT NULL,
	sku TEXT NOT NULL,
	warehouse TEXT NOT NULL,
	units BIGINT NOT NULL,
	reference TEXT NOT NULL,
	opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
	state TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT state_is_declared CHECK (state IN ('open', 'calling', 'settled')),
	CONSTRAINT a_shortage_lacks_something CHECK (units > 0)
)
;
CREATE INDEX open_shortages ON inventory.shortages (id) WHERE state = 'open'
;
CREATE TABLE inventory.short_lines (
	order_id UUID NOT NULL,
	sku TEXT NOT NULL,
	warehouse TEXT NOT NULL,
	shortage_id UUID NOT NULL,
	quantity BIGINT NOT NULL,
	covers BIGINT NOT NULL,
	state TEXT NOT NULL,
	shelf TEXT,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (order_id, sku, warehouse),
	CONSTRAINT state_is_declared CHECK (state IN ('asked', 'taken_back', 'settled', 'kept')),
	CONSTRAINT a_short_line_lacks_something CHECK (quantity > 0 AND covers > 0),
	CONSTRAINT who_is_asked_still_counts_as_promised CHECK ((state = 'asked') = (shelf IS NOT NULL))
)
;
CREATE INDEX short_lines_of_a_shelf ON inventory.short_lines (shelf) WHERE shelf IS NOT NULL
;
CREATE TABLE inventory.shortages_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO inventory.shortages_state_moves VALUES ('', 'open'), ('calling', 'open'), ('calling', 'settled'), ('open', 'calling'), ('open', 'settled')
;
CREATE FUNCTION inventory.shortages_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = inventory, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM inventory.shortages_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'shortages cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'shortages_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM inventory.shortages_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'shortages cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'shortages_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER shortages_state_moves_only_by_its_table_at_insert BEFORE INSERT ON inventory.shortages
            FOR EACH ROW EXECUTE FUNCTION inventory.shortages_state_moves_only_by_its_table()
;
CREATE TRIGGER shortages_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON inventory.shortages
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION inventory.shortages_state_moves_only_by_its_table()
;
CREATE TABLE inventory.short_lines_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO inventory.short_lines_state_moves VALUES ('', 'asked'), ('asked', 'kept'), ('asked', 'taken_back'), ('kept', 'asked'), ('settled', 'asked'), ('taken_back', 'settled')
;
CREATE FUNCTION inventory.short_lines_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = inventory, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM inventory.short_lines_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'short_lines cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'short_lines_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM inventory.short_lines_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'short_lines cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'short_lines_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER short_lines_state_moves_only_by_its_table_at_insert BEFORE INSERT ON inventory.short_lines
            FOR EACH ROW EXECUTE FUNCTION inventory.short_lines_state_moves_only_by_its_table()
;
CREATE TRIGGER short_lines_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON inventory.short_lines
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION inventory.short_lines_state_moves_only_by_its_table()
;
