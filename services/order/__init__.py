"""Orders: what was promised to a customer, how far it has come, and its whole story."""
