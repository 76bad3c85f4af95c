ALTER TABLE orders.order_items
    ADD COLUMN cancelled_quantity BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN substitutes JSONB NOT NULL DEFAULT '{}',
    ADD CONSTRAINT no_more_is_cancelled_than_was_ordered CHECK (0 <= cancelled_quantity AND cancelled_quantity <= quantity),
    DROP CONSTRAINT what_arrived_left_and_was_labeled,
    ADD CONSTRAINT what_arrived_left_and_was_labeled
        CHECK (0 <= delivered_quantity AND delivered_quantity <= shipped_quantity
               AND shipped_quantity <= labeled_quantity AND labeled_quantity <= quantity - cancelled_quantity),
    DROP CONSTRAINT delivered_is_all_of_it,
    ADD CONSTRAINT delivered_is_all_of_it
        CHECK (status <> 'delivered' OR delivered_quantity = quantity - cancelled_quantity)
;
