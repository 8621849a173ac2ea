"""The schema: roles with their derived passwords, migrations to head and back, and what to say when they cannot be."""

import asyncio
import base64
import hashlib
import hmac
import io
import json
import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from app.core import fold, hosts, refold
from app.core.settings import role_password

RESOURCES = ("places", "organisations", "sources", "statutes", "persons", "cases", "events", "statuses", "figures")

MIGRATIONS = Path(__file__).parents[2] / "migrations"
VOCABULARIES = Path(__file__).parents[1] / "vocabularies" / "data"

LEAST_VERSION = 180000

ROLES: dict[str, dict[str, str]] = {
    # It may only call functions, and the one that counts a key's requests writes.
    "chronika_auth": {"statement_timeout": "2s", "default_transaction_read_only": "off"},
    "chronika_public": {"statement_timeout": "10s", "default_transaction_read_only": "on"},
    "chronika_partner": {"statement_timeout": "10s", "default_transaction_read_only": "on"},
    "chronika_feed": {"statement_timeout": "10s"},
    "chronika_editor": {"statement_timeout": "30s"},
    "chronika_guardian": {"statement_timeout": "30s"},
}
"""Login role → what it may not exceed. Shared by all databases of a server, like roles are."""

COMMON = {
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "client_connection_check_interval": "1s",
    "jit": "off",
    # Statistics group millions of rows into some ten thousand: within 4 MB, the default, they are sorted on disk.
    "work_mem": "32MB",
    # At 1.1, usual for solid disks, two large tables are joined by walking both in the order of their random ids:
    # 30 s where hashing takes 6.
    "random_page_cost": "2",
}

RIGHTS = (
    "the owner in CHRONIKA_DATABASE_URL needs the right to make roles: as a superuser run "
    'ALTER ROLE "<owner>" CREATEROLE; ALTER DATABASE "<database>" OWNER TO "<owner>";'
)


class SchemaError(Exception):
    """The schema cannot be brought where it should be; the message is one line that says what to do."""


def scram(password: str) -> str:
    """Return the SCRAM-SHA-256 verifier of a password (RFC 5803), so that no server log ever holds the password."""
    salt, rounds = os.urandom(16), 4096
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, rounds)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")

    def b64(raw: bytes) -> str:
        return base64.b64encode(raw).decode()

    return f"SCRAM-SHA-256${rounds}:{b64(salt)}${b64(stored)}:{b64(server)}"


async def _connect_owner(url: str) -> Any:
    dsn = make_url(url).set(drivername="postgresql")
    try:
        connection = await asyncpg.connect(dsn.render_as_string(hide_password=False), timeout=10)
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        msg = f"PostgreSQL refuses the owner of CHRONIKA_DATABASE_URL: {error}"
        raise SchemaError(msg) from None
    except asyncpg.InvalidCatalogNameError:
        msg = f'there is no database "{dsn.database}"; make it with: createdb {dsn.database}'
        raise SchemaError(msg) from None
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        where = dsn.host or dsn.query.get("host")
        msg = (
            f"cannot reach PostgreSQL at {where}: {type(error).__name__}; check that it runs, and CHRONIKA_DATABASE_URL"
        )
        raise SchemaError(msg) from None
    version = int(await connection.fetchval("SHOW server_version_num"))
    if version < LEAST_VERSION:
        await connection.close()
        msg = f"PostgreSQL 18 or newer is needed; the server at CHRONIKA_DATABASE_URL is {version // 10000}"
        raise SchemaError(msg)
    return connection


async def _owned(url: str) -> tuple[str, Any]:
    """Return the URL of the server that takes writes, of all that `url` names, and the owner's connection to it."""
    failed = SchemaError("no server of CHRONIKA_DATABASE_URL takes writes: each that answers is a standby")
    urls = hosts.split(url)
    for one in urls:
        try:
            connection = await _connect_owner(one)
        except SchemaError as error:
            failed = error
            continue
        if len(urls) == 1 or not await connection.fetchval("SELECT pg_is_in_recovery()"):
            return one, connection
        await connection.close()
    raise failed


async def connect_owner(url: str) -> Any:
    """Return a connection of the owner named in the URL; raises `SchemaError` when there is none to be had."""
    return (await _owned(url))[1]


async def writable_url(url: str) -> str:
    """Return the URL of the one server that takes writes, for programs that are to be told of one; `SchemaError`."""
    one, connection = await _owned(url)
    await connection.close()
    return one


async def reach(url: str) -> None:
    """Raise `SchemaError`, with what to do about it, where the owner cannot be had."""
    await (await connect_owner(url)).close()


async def require_head(url: str, secret: bytes) -> None:
    """Raise `SchemaError`, with what to do about it, unless the owner can be had and the database is at head."""
    connection = await connect_owner(url)
    try:
        made = await _says_head(connection)
    finally:
        await connection.close()
    if await is_at_head(url, secret):
        return
    if made:
        msg = (
            "the database refuses the logins of this CHRONIKA_SECRET: set the one that they were made with, "
            "or run `chronika db upgrade` to make them anew"
        )
    else:
        msg = f"the database is not at revision {head()}; run `chronika db upgrade`"
    raise SchemaError(msg)


async def make_roles(url: str, secret: bytes) -> None:
    """Make the login roles with their derived passwords and limits; roles are the server's, so no dump holds them."""
    connection = await connect_owner(url)
    try:
        async with connection.transaction():
            # Two installations on one server may do this at the same moment.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('chronika roles'))")
            known = {
                r[0] for r in await connection.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE 'chronika%'")
            }
            if "chronika_owner" not in known:
                await connection.execute("CREATE ROLE chronika_owner NOLOGIN")
            if await connection.fetchval("SELECT current_user") != "chronika_owner":
                await connection.execute("GRANT chronika_owner TO CURRENT_USER WITH SET TRUE, INHERIT TRUE")
            for role, limits in ROLES.items():
                if role not in known:
                    await connection.execute(f"CREATE ROLE {role} LOGIN NOINHERIT")
                await connection.execute(f"ALTER ROLE {role} PASSWORD '{scram(role_password(secret, role))}'")
                for name, value in {**COMMON, **limits}.items():
                    await connection.execute(f"ALTER ROLE {role} SET {name} = '{value}'")
            database = await connection.fetchval("SELECT quote_ident(current_database())")
            roles = ", ".join(ROLES)
            await connection.execute(
                f"REVOKE ALL ON DATABASE {database} FROM PUBLIC; GRANT CONNECT ON DATABASE {database} TO {roles};"
                f"GRANT CREATE, TEMPORARY ON DATABASE {database} TO chronika_owner;"
                f"REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {roles};"
                "GRANT USAGE, CREATE ON SCHEMA public TO chronika_owner"
            )
    except asyncpg.InsufficientPrivilegeError:
        raise SchemaError(RIGHTS) from None
    except asyncpg.PostgresError as error:
        msg = f"PostgreSQL refused to make the login roles: {error}"
        raise SchemaError(msg) from None
    finally:
        await connection.close()


def _config(url: str) -> Config:
    config = Config(stdout=io.StringIO())  # what it prints on success says nothing to a person
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = make_url(url).set(drivername="postgresql+asyncpg")
    return config


@cache
def head() -> str:
    """Return the newest revision that this version of the program knows."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    found = ScriptDirectory.from_config(config).get_current_head()
    assert found is not None  # noqa: S101 -- the migrations are shipped
    return found


def upgrade(url: str, secret: bytes) -> None:
    """Make the roles, migrate to head, load the vocabularies, and fold the names; does nothing where all is done."""
    asyncio.run(make_roles(url, secret))
    _alembic(command.upgrade, url, "head")
    asyncio.run(_load_vocabularies(url))
    asyncio.run(_fold_names(url))


def downgrade(url: str, revision: str) -> None:
    """Migrate back to a revision; `base` is the empty database."""
    asyncio.run(reach(url))
    _alembic(command.downgrade, url, revision)


def check(url: str) -> None:
    """Raise `SchemaError` unless the database is at head and is what the models say."""
    _alembic(command.check, url)


def _alembic(run: Any, url: str, *arguments: str) -> None:
    one = url if len(hosts.split(url)) == 1 else asyncio.run(writable_url(url))
    try:
        run(_config(one), *arguments)
    except CommandError as error:
        raise SchemaError(str(error)) from None
    except DBAPIError as error:
        reason = str(error.orig).partition("\n")[0]
        msg = f"PostgreSQL refused to migrate, and nothing has changed: {reason}"
        raise SchemaError(msg) from None


async def is_at_head(url: str, secret: bytes) -> bool:
    """Tell whether the database is at head already; asked as the public's login, so that serving needs no owner.

    Of several servers any may say so: standbys have what the primary had.
    """
    return any([await _is_at_head(one, secret) for one in hosts.split(url)])


async def _is_at_head(url: str, secret: bytes) -> bool:
    role = "chronika_public"
    dsn = make_url(url).set(drivername="postgresql", username=role, password=role_password(secret, role))
    try:
        connection = await asyncpg.connect(dsn.render_as_string(hide_password=False), timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError):
        return False  # the owner's connection will tell what is wrong
    try:
        return await _says_head(connection)
    finally:
        await connection.close()


async def _says_head(connection: Any) -> bool:
    """Tell whether the database calls itself at head; one without the tables that would say so is not."""
    sql = "SELECT version_num = $1 AND EXISTS (SELECT FROM name_fold WHERE version = $2) FROM alembic_version"
    try:
        return bool(await connection.fetchval(sql, head(), fold.VERSION))
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        return False


async def _fold_names(url: str) -> None:
    connection = await connect_owner(url)
    try:
        await refold.fold_names(connection)
    finally:
        await connection.close()


async def _load_vocabularies(url: str) -> None:
    """Bring the code lists and rates of the data files into the database; codes added there by hand stay."""
    lists, terms, rates = [], [], []
    for path in sorted(VOCABULARIES.glob("*.toml")):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        if path.stem == "rates":
            rates = data["rates"]
            continue
        lists.append({"name": data["name"], "title": data["title"], "definition": data["definition"]})
        known = ("code", "label", "definition", "broader", "standard")
        terms += [
            {
                **{k: t.get(k) for k in known},
                "standard": t.get("standard", {}),
                "vocabulary": data["name"],
                "position": n,
                "attributes": {k: v for k, v in t.items() if k not in known},
            }
            for n, t in enumerate(data["terms"])
        ]
    connection = await connect_owner(url)
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL ROLE chronika_owner")
            for table, keys, rows in (
                ("vocabularies", "name", lists),
                ("vocabulary_terms", "vocabulary, code", terms),
                ("rates", "unit, currency, jurisdiction, valid_from", rates),
            ):
                columns = list(dict.fromkeys(k for r in rows for k in r))
                names = ", ".join(f'"{c}"' for c in columns)
                updates = ", ".join(f'"{c}" = excluded."{c}"' for c in columns)
                full = [{"printed": False, **r} if table == "rates" else r for r in rows]
                await connection.execute(
                    f"INSERT INTO {table} ({names}) SELECT {names} "  # noqa: S608
                    f"FROM jsonb_populate_recordset(NULL::{table}, $1::jsonb) "
                    f"ON CONFLICT ({keys}) DO UPDATE SET {updates}",
                    json.dumps(full, ensure_ascii=False, default=str),
                )
    finally:
        await connection.close()
