"""Bank statements: what was imported, every entry of it, and what our references stand for."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
