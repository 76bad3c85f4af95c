"""What providers say they settled, line by line, and how it differs from the ledger."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
