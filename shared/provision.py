"""Makes a database ready: roles with least rights, one schema per service, every migration.

Idempotent: running it again brings what is missing and changes no data.
"""

import importlib
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from shared import migrations, schema

SERVICES = ("order", "inventory", "payment", "fulfillment", "orchestrator")


def role_of(service: str) -> str:
    """The PostgreSQL role of a service."""
    return f"waybill_{service}"


def migrate(owner_url: str, passwords: Mapping[str, str], services: Sequence[str] = SERVICES) -> None:
    """Create roles, schemas and tables. `passwords` by service; roles are made or given their new password."""
    engine = sa.create_engine(_driver(owner_url), poolclass=sa.NullPool)
    try:
        for service in services:
            tables = importlib.import_module(f"services.{service}.tables")
            _role(engine, role_of(service), passwords[service])
            migrations.upgrade(engine, service, tables.SCHEMA)
            with engine.begin() as connection:
                for statement in schema.rights(tables.SCHEMA, role_of(service), tables.TABLES):
                    connection.execute(sa.text(statement))
    finally:
        engine.dispose()


def _driver(url: str) -> str:
    """Migrations are synchronous and rare."""
    return "postgresql+psycopg://" + url.split("://", 1)[1]


def _role(engine: sa.Engine, role: str, password: str) -> None:
    with engine.begin() as connection:
        database = connection.scalar(sa.text("SELECT current_database()"))
        known = connection.scalar(sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
        verb = "ALTER" if known else "CREATE"
        literal = connection.scalar(sa.text("SELECT quote_literal(cast(:password AS text))"), {"password": password})
        connection.exec_driver_sql(
            f"{verb} ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT PASSWORD {literal}".replace("%", "%%")
        )
        connection.exec_driver_sql(f'GRANT CONNECT ON DATABASE "{database}" TO {role}'.replace("%", "%%"))
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
