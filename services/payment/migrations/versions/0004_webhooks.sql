CREATE TABLE payments.webhooks (
	id UUID NOT NULL,
	provider TEXT NOT NULL,
	notice_id TEXT NOT NULL,
	headers JSONB NOT NULL,
	body TEXT NOT NULL,
	verdict TEXT NOT NULL,
	received_at TIMESTAMP WITH TIME ZONE NOT NULL,
	version INTEGER NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT verdict_is_declared CHECK (verdict IN ('heard', 'uninteresting'))
)
;
