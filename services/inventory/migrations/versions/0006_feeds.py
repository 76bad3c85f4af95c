"""Stock that others count: sources, feeds, pulls, shortages; and what a warehouse keeps back while nobody counts."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
