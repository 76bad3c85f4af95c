"""What has left of an order that is paid per shipment, and so is to be captured."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
