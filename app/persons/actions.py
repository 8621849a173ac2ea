"""What only guardians do: read and write the protected part of a person, and erase a person."""

import json
from uuid import UUID

from fastapi import Response

from app.core.access import Writer
from app.core.crud import missing
from app.core.errors import NotFound
from app.core.refs import Ref
from app.core.rows import find_refs
from app.persons.models import Erasure, ProtectedFields
from app.persons.queries import PERSONS

ERASE_WAIT_S = 50


async def _known(person_id: UUID, writer: Writer) -> None:
    if not await writer.transaction.row("SELECT 1 FROM persons WHERE id = $1", person_id):
        await missing(PERSONS, person_id, writer)


def _answer(content: str) -> Response:
    return Response(content, 200, {"Cache-Control": "no-store"}, media_type="application/json")


async def read_protected(person_id: UUID, writer: Writer) -> Response:
    """Answer the protected part, empty where none was written, and record in the same transaction who read it."""
    await _known(person_id, writer)
    kept = await writer.transaction.row("SELECT read_protected($1)", person_id)
    content = ProtectedFields.model_validate_json(kept[0] or "{}")
    return _answer(content.model_dump_json())


async def write_protected(person_id: UUID, given: ProtectedFields, writer: Writer) -> Response:
    """Replace the protected part and answer it."""
    await _known(person_id, writer)
    related = {r.person: Ref(id=r.person) for r in given.relatives if r.person is not None}
    found = await find_refs(writer.transaction, {("persons", ref) for ref in related.values()})
    for relative in given.relatives:
        if relative.person is not None:  # whoever was merged is now the one who stayed
            relative.person = found.get(("persons", related[relative.person]), relative.person)
    content = given.model_dump(mode="json")
    await writer.transaction.fetch(
        "INSERT INTO persons_private (person_id, content) VALUES ($1, $2::jsonb) "
        "ON CONFLICT (person_id) DO UPDATE SET content = $2::jsonb",
        person_id,
        json.dumps(content),
    )
    return _answer(given.model_dump_json())


async def erase_person(person_id: UUID, given: Erasure, writer: Writer) -> Response:
    """Remove everything about a person but a tombstone without content; 404 if there never was one.

    Repeating it is harmless. The answer names the records whose own words may still tell of the person.
    """
    # All versions of all records are searched for mentions, which may take longer than a usual statement.
    await writer.transaction.fetch(f"SET LOCAL statement_timeout = '{ERASE_WAIT_S}s'")
    row = await writer.transaction.row("SELECT erase_person($1, $2)::text", person_id, given.reason)
    if row[0] is None:
        raise NotFound
    return _answer(f'{{"id":"{person_id}","reason":"{given.reason}","review":{row[0]}}}')
