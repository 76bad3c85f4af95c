"""The frame: knows messages, transactions and the broker; knows no order."""
