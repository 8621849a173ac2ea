"""The list of erasures: kept outside the database, so that a backup which is older than they are cannot undo them."""

import json
from collections.abc import Iterable
from typing import get_args
from uuid import UUID

from app.core.schema import connect_owner
from app.persons.models import ErasureReason


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


Wanted = list[tuple[UUID, str]]
"""Persons and the reasons for which they were erased."""


def read(lines: Iterable[str]) -> Wanted:
    """Read such a list; raises ValueError, KeyError or TypeError where a line is not one of `listed`."""
    found = [json.loads(line) for line in lines if line.strip()]
    wanted = [(UUID(item["person"]), str(item["reason"])) for item in found]
    if unknown := {reason for _, reason in wanted} - set(get_args(ErasureReason)):
        raise ValueError(unknown)
    return wanted


async def repeat(url: str, wanted: Wanted) -> tuple[int, int]:
    """Erase again whoever a list names; return how many were erased and how many this database never knew."""
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


async def replay(url: str, lines: Iterable[str]) -> tuple[int, int]:
    """Read a list and `repeat` it; nothing is erased where a line is not one of `listed` (errors as of `read`)."""
    return await repeat(url, read(lines))
