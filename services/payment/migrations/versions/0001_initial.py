"""The first version of this schema."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
