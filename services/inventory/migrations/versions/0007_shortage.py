"""Shelves that came short, the orders it hits, and what the rule that chooses them asks."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
