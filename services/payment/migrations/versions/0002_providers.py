"""Each payment has its provider, and a provider may prepare a payment before it confirms it."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
