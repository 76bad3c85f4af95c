"""What the customer of a transfer must quote."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
