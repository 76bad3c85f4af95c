"""The double-entry ledger, opened with what was captured and refunded before there was one."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
