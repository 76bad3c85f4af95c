"""Alembic asks here how to run; every service answers the same way."""

from alembic import context

from shared.migrations import run_env

run_env(context)
