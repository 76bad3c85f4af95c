ALTER TABLE fulfillment.fulfillment_events
    DROP CONSTRAINT verdict_is_declared,
    ADD CONSTRAINT verdict_is_declared CHECK (verdict IN ('moved', 'late', 'contradicted', 'amended'))
;
