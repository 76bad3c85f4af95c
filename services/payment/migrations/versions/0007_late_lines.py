"""A settlement line that came before we had booked its movement is matched when we have."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
