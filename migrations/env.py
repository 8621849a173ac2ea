"""Alembic's entry: runs the migrations as the owner of the schema, giving up quickly rather than stalling readers."""

import asyncio
import importlib
import time

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from app.core.schema import RESOURCES

for feature in RESOURCES:
    importlib.import_module(f"app.{feature}.models")

# Waiting for a lock makes everybody queue up behind: better to give up after a second and to come back.
LOCK_TIMEOUT, TRIES, PAUSE_S = "1s", 30, 0.5
LOCK_NOT_AVAILABLE = "55P03"


def _ours(_obj: object, _name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:
    """Compare what the models know: tables and indexes made by hand in a migration are not theirs to remove."""
    return not (reflected and compare_to is None and kind in {"table", "index"})


def _run(connection: Connection) -> None:
    connection.execute(text("SET ROLE chronika_owner"))
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    # Row-level security that would filter a data migration must fail instead of silently changing nothing.
    connection.execute(text("SET row_security = off") if _bypasses(connection) else text("SET row_security = on"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        compare_type=True,
        include_object=_ours,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()


def _bypasses(connection: Connection) -> bool:
    query = text("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
    return bool(connection.execute(query).scalar())


async def _migrate(url: str) -> None:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run)
    finally:
        await engine.dispose()


def main() -> None:
    """Migrate, trying again for a while when a lock is held."""
    url = context.config.attributes["url"]
    for left in range(TRIES - 1, -1, -1):
        try:
            asyncio.run(_migrate(url))
        except DBAPIError as error:
            if not left or getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            time.sleep(PAUSE_S)
        else:
            return


main()
