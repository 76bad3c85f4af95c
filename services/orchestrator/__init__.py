"""Carries an order through the services: sagas as tables, runs as rows, one pure engine."""
