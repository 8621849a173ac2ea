"""The keys: made, listed and revoked by whoever runs the installation; only their SHA-256 is kept."""

from datetime import timedelta
from typing import Any

import asyncpg

from app.core.access import ROLES, new_key
from app.core.schema import connect_owner


class KeysError(Exception):
    """A key cannot be made or found; the message is one line."""


async def _run(url: str, sql: str, *arguments: Any) -> list[Any]:
    connection = await connect_owner(url)
    try:
        await connection.execute("SET ROLE chronika_owner")
        rows: list[Any] = await connection.fetch(sql, *arguments)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidParameterValueError, asyncpg.InsufficientPrivilegeError):
        msg = "the database has no place for keys, or is not its owner's; run `chronika db upgrade` first"
        raise KeysError(msg) from None
    finally:
        await connection.close()
    return rows


async def create(url: str, name: str, role: str, origin: str, lifetime: timedelta) -> str:
    """Make a key and return its text, which is not kept."""
    if role not in list(ROLES):
        msg = f"a key's role is one of: {', '.join(ROLES)}"
        raise KeysError(msg)
    key_id, text, digest = new_key()
    sql = "INSERT INTO keys (id, name, role, origin, digest, expires_at) VALUES ($1, $2, $3, $4, $5, now() + $6)"
    await _run(url, sql, key_id, name, str(role), origin, digest, lifetime)
    return text


async def list_all(url: str) -> list[Any]:
    """Return all keys, the newest first, each with its state: valid, expired or revoked."""
    return await _run(
        url,
        "SELECT id, name, role, origin, expires_at, CASE WHEN revoked_at IS NOT NULL THEN 'revoked' "
        "WHEN expires_at <= now() THEN 'expired' ELSE 'valid' END AS state FROM keys ORDER BY created_at DESC, id",
    )


async def revoke(url: str, key_id: str) -> None:
    """Revoke a key for good."""
    found = await _run(
        url, "UPDATE keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = $1 RETURNING id", key_id
    )
    if not found:
        msg = f"there is no key {key_id[:20]}; see `chronika keys list`"
        raise KeysError(msg)
