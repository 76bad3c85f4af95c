CREATE TABLE sagas.inbox (
            queue text NOT NULL,
            message_id uuid NOT NULL,
            state text NOT NULL DEFAULT 'done' CHECK (state IN ('done', 'waiting', 'trying')),
            attempts integer NOT NULL DEFAULT 0,
            PRIMARY KEY (message_id, queue)
        ) PARTITION BY RANGE (message_id)
;
CREATE TABLE sagas.inbox_default PARTITION OF sagas.inbox DEFAULT
;
CREATE TABLE sagas.answers (
            command_key text PRIMARY KEY,
            content_hash text NOT NULL,
            state text NOT NULL CHECK (state IN ('pending', 'answered', 'withdrawn')),
            answer_type text NOT NULL DEFAULT '',
            answer text NOT NULL DEFAULT '',
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        )
;
CREATE TABLE sagas.due (
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
CREATE INDEX due_by_instant ON sagas.due (not_before)
;
CREATE INDEX timers_by_owner ON sagas.due (owner, name) WHERE name <> ''
;
CREATE TABLE sagas.outbox (
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
CREATE TABLE sagas.parked (
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
CREATE UNIQUE INDEX parked_once_per_command ON sagas.parked (command_key) WHERE command_key <> '' AND state = 'parked'
;
CREATE TABLE sagas.accepted (
	key TEXT NOT NULL,
	content_hash TEXT NOT NULL,
	order_id UUID,
	run_id UUID,
	answer_type TEXT NOT NULL,
	answer TEXT NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (key)
)
;
CREATE TABLE sagas.runs (
	id UUID NOT NULL,
	saga TEXT NOT NULL,
	order_id UUID NOT NULL,
	changing UUID,
	storefront TEXT NOT NULL,
	request JSONB NOT NULL,
	facts JSONB NOT NULL,
	phase TEXT NOT NULL,
	position INTEGER NOT NULL,
	pending JSONB NOT NULL,
	asked JSONB NOT NULL,
	asks INTEGER NOT NULL,
	next_ask_at TIMESTAMP WITH TIME ZONE NOT NULL,
	reason TEXT NOT NULL,
	stuck_since TIMESTAMP WITH TIME ZONE,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT phase_is_declared CHECK (phase IN ('waiting', 'undoing', 'completed', 'cancelled')),
	CONSTRAINT a_run_changes_its_order_until_it_ends CHECK ((changing IS NULL) = (phase IN ('completed', 'cancelled')))
)
;
CREATE UNIQUE INDEX one_changing_run_per_order ON sagas.runs (changing) WHERE changing IS NOT NULL
;
CREATE INDEX runs_by_order ON sagas.runs (order_id)
;
CREATE INDEX stuck_runs ON sagas.runs (stuck_since) WHERE stuck_since IS NOT NULL
;
CREATE TABLE sagas.runs_phase_moves (origin text NOT NULL, target text NOT NULL, PRIMARY KEY (origin, target))
;
INSERT INTO sagas.runs_phase_moves VALUES ('', 'waiting'), ('undoing', 'cancelled'), ('waiting', 'cancelled'), ('waiting', 'completed'), ('waiting', 'undoing')
;
CREATE FUNCTION sagas.runs_phase_moves_only_by_its_table() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = sagas, pg_temp AS $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                IF NOT EXISTS (SELECT FROM sagas.runs_phase_moves WHERE origin = '' AND target = NEW.phase) THEN
                    RAISE EXCEPTION 'runs cannot start as %', NEW.phase
                        USING ERRCODE = 'check_violation', CONSTRAINT = 'runs_phase_moves_only_by_its_table';
                END IF;
            ELSIF NOT EXISTS (SELECT FROM sagas.runs_phase_moves WHERE origin = OLD.phase AND target = NEW.phase) THEN
                RAISE EXCEPTION 'runs cannot go from % to %', OLD.phase, NEW.phase
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'runs_phase_moves_only_by_its_table';
            END IF;
            RETURN NEW;
        END $$
;
CREATE TRIGGER runs_phase_moves_only_by_its_table_at_insert BEFORE INSERT ON sagas.runs
            FOR EACH ROW EXECUTE FUNCTION sagas.runs_phase_moves_only_by_its_table()
;
CREATE TRIGGER runs_phase_moves_only_by_its_table_at_update BEFORE UPDATE OF phase ON sagas.runs
            FOR EACH ROW WHEN (OLD.phase IS DISTINCT FROM NEW.phase) EXECUTE FUNCTION sagas.runs_phase_moves_only_by_its_table()
;
