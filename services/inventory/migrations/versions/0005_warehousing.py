"""Returned goods, corrections, stock-takes and transfers; and a shelf knows when its units last moved."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
