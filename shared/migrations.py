"""Migrations run as the owner, one Alembic history per service, its version table inside the service's own schema."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.operations import Operations
from alembic.script import ScriptDirectory


def script_directory(service: str) -> Path:
    """Found by name, not imported: the frame knows no service."""
    spec = find_spec(f"services.{service}")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"there is no service called {service!r}")
    return Path(spec.submodule_search_locations[0]) / "migrations"


def config_for(service: str, schema: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(script_directory(service)))
    config.attributes["schema"] = schema
    return config


def head(service: str, schema: str) -> str:
    """The newest revision of a service."""
    return ScriptDirectory.from_config(config_for(service, schema)).get_current_head() or ""


def upgrade(connection: sa.Connection, service: str, schema: str) -> None:
    """Bring one schema to its newest revision, inside the connection's transaction."""
    config = config_for(service, schema)
    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def run_env(context: Any) -> None:
    """The whole of every service's `migrations/env.py`; `context` is Alembic's proxy module of that name."""
    attributes = context.config.attributes
    context.configure(connection=attributes["connection"], version_table_schema=attributes["schema"])
    with context.begin_transaction():
        context.run_migrations()


def run_sql_file(op: Operations, migration: str) -> None:
    """Run the `.sql` beside a migration; statements are separated by a line `;`."""
    for statement in Path(migration).with_suffix(".sql").read_text().split("\n;\n"):
        if statement.strip():
            op.get_bind().exec_driver_sql(statement)
