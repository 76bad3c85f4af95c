"""The schema's name and its declarations, which several files of tables share."""

from typing import Final

import sqlalchemy as sa

SCHEMA: Final = "payments"
METADATA: Final = sa.MetaData(schema=SCHEMA)
