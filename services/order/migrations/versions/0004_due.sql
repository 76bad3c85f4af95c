ALTER TABLE orders.orders
    ADD COLUMN due_minor BIGINT,
    ADD CONSTRAINT no_more_is_due_than_the_total CHECK (due_minor BETWEEN 0 AND total_minor)
;
