"""A provider may settle a refund back to us: it could not be given."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
