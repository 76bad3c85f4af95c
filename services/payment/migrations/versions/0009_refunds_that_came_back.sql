ALTER TABLE payments.settlement_lines
    DROP CONSTRAINT kind_is_declared,
    ADD CONSTRAINT kind_is_declared CHECK (
        kind IN ('payment', 'refund', 'refund_reversal', 'dispute', 'dispute_reversal', 'fee', 'payout'))
;
