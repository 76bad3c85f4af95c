ALTER TABLE inventory.shelves ADD COLUMN short BIGINT NOT NULL DEFAULT 0
;
ALTER TABLE inventory.shelves
    DROP CONSTRAINT never_oversold,
    ADD CONSTRAINT short_is_not_negative CHECK (short >= 0),
    ADD CONSTRAINT never_oversold CHECK (on_hand + short - held - allocated >= 0),
    ADD CONSTRAINT short_is_only_what_is_promised_and_not_there
        CHECK (short = 0 OR short <= held + allocated - on_hand)
;
CREATE TABLE inventory.products (
    sku TEXT NOT NULL,
    supply TEXT NOT NULL,
    weight_g BIGINT NOT NULL,
    limit_units BIGINT NOT NULL,
    lead_days INTEGER NOT NULL,
    release_at TIMESTAMP WITH TIME ZONE,
    parts JSONB NOT NULL,
    substitutes JSONB NOT NULL,
    not_from JSONB NOT NULL,
    described_at TIMESTAMP WITH TIME ZONE,
    version INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (sku),
    CONSTRAINT supply_is_declared CHECK (supply IN ('stock', 'backorder', 'preorder', 'made_to_order', 'kit')),
    CONSTRAINT a_preorder_has_a_release_date CHECK ((supply = 'preorder') = (release_at IS NOT NULL))
)
;
