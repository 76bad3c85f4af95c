CREATE TABLE payments.transfers (
	id UUID NOT NULL,
	order_id UUID,
	occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
	currency TEXT NOT NULL,
	debit TEXT NOT NULL,
	credit TEXT NOT NULL,
	amount_minor BIGINT NOT NULL,
	kind TEXT NOT NULL,
	reference TEXT NOT NULL,
	provider TEXT NOT NULL,
	created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT a_transfer_moves_something CHECK (amount_minor > 0),
	CONSTRAINT a_transfer_has_two_sides CHECK (debit <> credit),
	CONSTRAINT each_kind_has_its_accounts CHECK (kind || ': ' || debit || ' ' || credit IN ('capture: provider_clearing order_funds', 'refund_reserved: order_funds refunds_payable', 'refund: refunds_payable provider_clearing', 'refund_refused: refunds_payable order_funds', 'chargeback: chargebacks provider_clearing', 'chargeback_reversed: provider_clearing chargebacks', 'payout: bank provider_clearing', 'fee: provider_fees provider_clearing', 'fee_returned: provider_clearing provider_fees', 'surplus: provider_clearing suspense', 'shortfall: suspense provider_clearing')),
	CONSTRAINT nothing_is_booked_twice UNIQUE (kind, reference)
)
;
CREATE INDEX transfers_of_an_order ON payments.transfers (order_id)
;
INSERT INTO payments.transfers (id, order_id, occurred_at, currency, debit, credit, amount_minor, kind, reference, provider)
SELECT gen_random_uuid(), c.order_id, c.created_at, c.currency, 'provider_clearing', 'order_funds', c.amount_minor,
       'capture', c.id::text, p.provider
FROM payments.captures c JOIN payments.payments p USING (order_id)
;
INSERT INTO payments.transfers (id, order_id, occurred_at, currency, debit, credit, amount_minor, kind, reference, provider)
SELECT gen_random_uuid(), r.order_id, r.created_at, r.currency, 'order_funds', 'refunds_payable', r.amount_minor,
       'refund_reserved', r.refund_id::text, p.provider
FROM payments.refunds r JOIN payments.payments p USING (order_id)
;
INSERT INTO payments.transfers (id, order_id, occurred_at, currency, debit, credit, amount_minor, kind, reference, provider)
SELECT gen_random_uuid(), r.order_id, r.updated_at, r.currency, 'refunds_payable',
       CASE r.state WHEN 'refunded' THEN 'provider_clearing' ELSE 'order_funds' END, r.amount_minor,
       CASE r.state WHEN 'refunded' THEN 'refund' ELSE 'refund_refused' END, r.refund_id::text, p.provider
FROM payments.refunds r JOIN payments.payments p USING (order_id) WHERE r.state IN ('refunded', 'refused')
;
INSERT INTO payments.transfers (id, order_id, occurred_at, currency, debit, credit, amount_minor, kind, reference, provider)
SELECT gen_random_uuid(), c.order_id, c.created_at, p.currency, 'chargebacks', 'provider_clearing', c.amount_minor,
       'chargeback', c.id::text, p.provider
FROM payments.chargebacks c JOIN payments.payments p USING (order_id)
;
INSERT INTO payments.transfers (id, order_id, occurred_at, currency, debit, credit, amount_minor, kind, reference, provider)
SELECT gen_random_uuid(), c.order_id, c.updated_at, p.currency, 'provider_clearing', 'chargebacks', c.amount_minor,
       'chargeback_reversed', c.id::text, p.provider
FROM payments.chargebacks c JOIN payments.payments p USING (order_id) WHERE c.state = 'won'
;
