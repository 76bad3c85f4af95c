"""The whole system in one process under a seeded scheduler that is free to be unkind: `python -m tests.simulation`."""
