"""The list of erasures: kept outside the database, so that a backup which is older than they are cannot undo them."""

import json
from collections.abc import Iterable
from uuid import UUID

from app.core.schema import connect_owner


async def listed(url: str) -> list[str]:
    """Return the erasures, the oldest first, each as a line of JSON: person, reason, instant."""
    connection = await connect_owner(url)
    try:
        await connection.execute("SET ROLE chronika_owner")
        rows = await connection.fetch(
            "SELECT json_build_object('person', person_id, 'reason', reason, 'at', at)::text "
            "FROM erasures ORDER BY at, person_id"
        )
        return [r[0] for r in rows]
    finally:
        await connection.close()


async def replay(url: str, lines: Iterable[str]) -> tuple[int, int]:
    """Erase again whoever a list names; return how many were erased and how many this database never knew.

    Raises:
        ValueError: A line is not one of `listed`; nothing was erased then.
    """
    found = [json.loads(line) for line in lines if line.strip()]
    wanted = [(UUID(item["person"]), str(item["reason"])) for item in found]
    erased = unknown = 0
    connection = await connect_owner(url)
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL ROLE chronika_owner; SET LOCAL chronika.actor = 'replay'")
            for person, reason in wanted:
                known = await connection.fetchval("SELECT erase_person($1, $2) IS NOT NULL", person, reason)
                erased, unknown = erased + known, unknown + (not known)
    finally:
        await connection.close()
    return erased, unknown
