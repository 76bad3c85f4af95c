"""Shipments: asked for by the saga, ordered from warehouses, followed by their reports until they arrive."""
