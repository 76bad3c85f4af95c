"""Writes a service's first migration from its declarations: `python -m shared.first_migration
services.inventory.tables`.

For the first version only. From then on the SQL is history, and a change is a migration of its own; a test compares the
migrated database with the declarations.
"""

import importlib
import sys
from pathlib import Path

from shared.schema import create_sql, frame_sql, transition_trigger

ENV = '''"""Alembic asks here how to run; every service answers the same way."""

from alembic import context

from shared.migrations import run_env

run_env(context)
'''
VERSION = '''"""The first version of this schema."""

from alembic import op

from shared.migrations import run_sql_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql_file(op, __file__)  # type: ignore[arg-type]
'''


def statements(module: str) -> list[str]:
    tables = importlib.import_module(module)
    found = [*frame_sql(tables.SCHEMA), *create_sql(tables.METADATA)]
    for table, column, machine in tables.MACHINES:
        found += transition_trigger(tables.SCHEMA, table, column, machine)
    return found


def main() -> None:
    module = sys.argv[1]
    folder = Path(*module.split(".")[:-1]) / "migrations"
    (folder / "versions").mkdir(parents=True, exist_ok=True)
    (folder / "env.py").write_text(ENV)
    (folder / "versions" / "0001_initial.py").write_text(VERSION)
    text = "\n;\n".join("\n".join(line.rstrip() for line in one.splitlines()) for one in statements(module))
    (folder / "versions" / "0001_initial.sql").write_text(text + "\n;\n")


if __name__ == "__main__":
    main()
