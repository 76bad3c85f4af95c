"""Inventory: how many units lie where, and which of them are promised to whom."""
