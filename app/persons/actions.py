"""The protected part of a person: read by guardians only, and never without a record of the reading."""

import json
from uuid import UUID

from fastapi import Response

from app.core.access import Writer
from app.core.errors import NotFound
from app.persons.models import ProtectedFields


async def _known(person_id: UUID, writer: Writer) -> None:
    if not await writer.transaction.row("SELECT 1 FROM persons WHERE id = $1", person_id):
        raise NotFound


def _answer(content: str) -> Response:
    return Response(content, 200, {"Cache-Control": "no-store"}, media_type="application/json")


async def read_protected(person_id: UUID, writer: Writer) -> Response:
    """Answer the protected part, empty where none was written, and record in the same transaction who read it."""
    await _known(person_id, writer)
    actor = writer.transaction.actor
    await writer.transaction.fetch("INSERT INTO protected_reads (actor, person_id) VALUES ($1, $2)", actor, person_id)
    kept = await writer.transaction.row("SELECT content::text FROM persons_private WHERE person_id = $1", person_id)
    content = ProtectedFields.model_validate_json(kept[0] if kept else "{}")
    return _answer(content.model_dump_json())


async def write_protected(person_id: UUID, given: ProtectedFields, writer: Writer) -> Response:
    """Replace the protected part and answer it."""
    await _known(person_id, writer)
    content = given.model_dump(mode="json")
    await writer.transaction.fetch(
        "INSERT INTO persons_private (person_id, content) VALUES ($1, $2::jsonb) "
        "ON CONFLICT (person_id) DO UPDATE SET content = excluded.content",
        person_id,
        json.dumps(content),
    )
    return _answer(given.model_dump_json())
