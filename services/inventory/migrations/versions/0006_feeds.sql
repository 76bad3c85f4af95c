ALTER TABLE inventory.warehouses
    ADD COLUMN kept_back BIGINT NOT NULL DEFAULT 0,
    ADD CONSTRAINT kept_back_is_not_negative CHECK (kept_back >= 0)
;
CREATE TABLE inventory.sources (
	code TEXT NOT NULL,
	mode TEXT NOT NULL,
	warehouses JSONB NOT NULL,
	stale_after_s BIGINT NOT NULL,
	buffer BIGINT NOT NULL,
	described_at TIMESTAMP WITH TIME ZONE NOT NULL,
	network TEXT NOT NULL,
	state TEXT NOT NULL,
	last_sequence BIGINT NOT NULL,
	heard_at TIMESTAMP WITH TIME ZONE,
	stale_at TIMESTAMP WITH TIME ZONE,
	missing JSONB NOT NULL,
	applying UUID,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (code),
	CONSTRAINT mode_is_declared CHECK (mode IN ('absolute', 'delta', 'any')),
	CONSTRAINT state_is_declared CHECK (state IN ('fresh', 'stale')),
	CONSTRAINT buffer_is_not_negative CHECK (buffer >= 0)
)
 WITH (fillfactor = 50)
;
CREATE TABLE inventory.feeds (
	id UUID NOT NULL,
	source TEXT NOT NULL,
	sequence BIGINT NOT NULL,
	key TEXT NOT NULL,
	origin TEXT NOT NULL,
	mode TEXT NOT NULL,
	hash TEXT NOT NULL,
	rows BIGINT NOT NULL,
	pages INTEGER NOT NULL,
	as_of TIMESTAMP WITH TIME ZONE,
	problems BIGINT NOT NULL,
	report JSONB NOT NULL,
	state TEXT NOT NULL,
	reason TEXT NOT NULL,
	pages_done INTEGER NOT NULL,
	rows_done BIGINT NOT NULL,
	raised BIGINT NOT NULL,
	lowered BIGINT NOT NULL,
	opened BIGINT NOT NULL,
	clamped BIGINT NOT NULL,
	short_units BIGINT NOT NULL,
	ended_at TIMESTAMP WITH TIME ZONE,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT state_is_declared CHECK (state IN ('staged', 'applying', 'applied', 'skipped', 'rejected')),
	CONSTRAINT origin_is_declared CHECK (origin IN ('report', 'import', 'pull')),
	CONSTRAINT mode_is_declared CHECK (mode IN ('absolute', 'delta')),
	CONSTRAINT no_page_is_applied_twice CHECK (pages_done <= pages AND rows_done <= rows),
	CONSTRAINT applied_means_every_row CHECK (state <> 'applied' OR rows_done = rows),
	CONSTRAINT a_feed_comes_from_a_source FOREIGN KEY(source) REFERENCES inventory.sources (code)
)
 WITH (fillfactor = 70)
;
CREATE INDEX feeds_by_key ON inventory.feeds (key)
;
CREATE UNIQUE INDEX one_feed_per_sequence ON inventory.feeds (key) WHERE state <> 'rejected'
;
CREATE TABLE inventory.pulls (
	source TEXT NOT NULL,
	url TEXT NOT NULL,
	format TEXT NOT NULL,
	mode TEXT NOT NULL,
	every_s BIGINT NOT NULL,
	timeout_s BIGINT NOT NULL,
	partial BOOLEAN NOT NULL,
	"new" BOOLEAN NOT NULL,
	state TEXT NOT NULL,
	asked BIGINT NOT NULL,
	asked_at TIMESTAMP WITH TIME ZONE,
	sequence BIGINT NOT NULL,
	problem TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (source),
	CONSTRAINT state_is_declared CHECK (state IN ('idle', 'open', 'calling')),
	CONSTRAINT format_is_declared CHECK (format IN ('csv', 'jsonl')),
	CONSTRAINT mode_is_declared CHECK (mode IN ('absolute', 'delta')),
	CONSTRAINT a_pull_is_of_a_source FOREIGN KEY(source) REFERENCES inventory.sources (code)
)
;
CREATE TABLE inventory.feed_pages (
	id TEXT NOT NULL,
	feed_id UUID NOT NULL,
	lines JSONB NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT a_page_is_of_a_feed FOREIGN KEY(feed_id) REFERENCES inventory.feeds (id)
)
;
CREATE INDEX pages_of_a_feed ON inventory.feed_pages (feed_id)
;
CREATE INDEX promised_from_shelves ON inventory.reservations USING gin (picks jsonb_path_ops) WHERE status IN ('held', 'committed')
;
CREATE TABLE inventory.sources_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO inventory.sources_state_moves VALUES ('', 'fresh'), ('fresh', 'stale'), ('stale', 'fresh')
;
CREATE FUNCTION inventory.sources_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = inventory, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM inventory.sources_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'sources cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'sources_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM inventory.sources_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'sources cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'sources_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER sources_state_moves_only_by_its_table_at_insert BEFORE INSERT ON inventory.sources
            FOR EACH ROW EXECUTE FUNCTION inventory.sources_state_moves_only_by_its_table()
;
CREATE TRIGGER sources_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON inventory.sources
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION inventory.sources_state_moves_only_by_its_table()
;
CREATE TABLE inventory.feeds_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO inventory.feeds_state_moves VALUES ('', 'staged'), ('', 'applied'), ('', 'skipped'), ('', 'rejected'), ('applying', 'applied'), ('staged', 'applying'), ('staged', 'rejected'), ('staged', 'skipped')
;
CREATE FUNCTION inventory.feeds_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = inventory, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM inventory.feeds_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'feeds cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'feeds_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM inventory.feeds_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'feeds cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'feeds_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER feeds_state_moves_only_by_its_table_at_insert BEFORE INSERT ON inventory.feeds
            FOR EACH ROW EXECUTE FUNCTION inventory.feeds_state_moves_only_by_its_table()
;
CREATE TRIGGER feeds_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON inventory.feeds
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION inventory.feeds_state_moves_only_by_its_table()
;
CREATE TABLE inventory.pulls_state_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO inventory.pulls_state_moves VALUES ('', 'idle'), ('calling', 'idle'), ('calling', 'open'), ('idle', 'open'), ('open', 'calling')
;
CREATE FUNCTION inventory.pulls_state_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = inventory, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM inventory.pulls_state_moves WHERE origin = '' AND target = NEW.state) THEN
                    RAISE EXCEPTION 'pulls cannot start as %', NEW.state
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'pulls_state_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM inventory.pulls_state_moves WHERE origin = OLD.state AND target = NEW.state) THEN
                RAISE EXCEPTION 'pulls cannot go from % to %', OLD.state, NEW.state
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'pulls_state_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER pulls_state_moves_only_by_its_table_at_insert BEFORE INSERT ON inventory.pulls
            FOR EACH ROW EXECUTE FUNCTION inventory.pulls_state_moves_only_by_its_table()
;
CREATE TRIGGER pulls_state_moves_only_by_its_table_at_update BEFORE UPDATE OF state ON inventory.pulls
            FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION inventory.pulls_state_moves_only_by_its_table()
;
