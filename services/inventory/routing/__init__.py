"""Which warehouses serve an order: one question, three strategies, and the reasons of each answer."""
