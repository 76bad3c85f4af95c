"""Money may be held when an order is placed, and captured part by part as its parcels leave."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
