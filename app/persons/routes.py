"""Routes of persons, and of the part of them that only guardians may read."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from app.core import errors, openapi
from app.core.access import CallerDep, EditorDep, GuardianWriterDep, WriterDep
from app.core.crud import create_record, delete_record, replace_record, update_record
from app.core.errors import Forbidden, NotFound, TooLarge, UnsupportedMedia
from app.core.http import KeptRoute
from app.core.openapi import (
    CHANGED,
    CREATED,
    DELETED,
    HISTORY,
    LIST,
    ONE,
    WRITING,
    WRITTEN,
    Responses,
    patch_of,
    problems,
)
from app.core.pages import Lang, OneQuery
from app.core.reads import get_history, get_record, list_records
from app.persons import same
from app.persons.actions import erase_person as erase
from app.persons.actions import read_protected, write_protected
from app.persons.models import Erased, Erasure, PersonIn, PersonRead, ProtectedFields, ProtectedRead
from app.persons.queries import PERSONS, PersonQuery

SIMILAR = {
    200: {"model": same.Similars, "headers": openapi.ETAG},
    **openapi.NOT_MODIFIED,
    **openapi.MERGED,
    **openapi.problems(errors.NotFound, errors.Gone),
}
Other = Annotated[UUID, Path(description="Id of the other person.")]
JUDGED = {
    204: {"description": "It is so recorded."},
    **openapi.MERGED,
    **openapi.problems(errors.Forbidden, errors.NotFound, errors.Gone),
}

router = APIRouter(prefix="/v1/persons", tags=["persons"], route_class=KeptRoute)


@router.get("", responses=LIST(PersonRead), response_class=Response)
async def list_persons(query: Annotated[PersonQuery, Query()], caller: CallerDep) -> Response:
    """List persons."""
    return await list_records(PERSONS, query, caller)


@router.post("", responses=CREATED(PersonRead), response_class=Response, status_code=201)
async def create_person(body: PersonIn, writer: WriterDep) -> Response:
    """Record a person."""
    return await create_record(PERSONS, body, writer)


@router.get("/{record_id}", responses=ONE(PersonRead), response_class=Response)
async def get_person(record_id: UUID, query: Annotated[OneQuery, Query()], caller: CallerDep) -> Response:
    """Read one person."""
    return await get_record(PERSONS, record_id, query, caller)


@router.put("/{record_id}", responses=WRITTEN(PersonRead), response_class=Response)
async def replace_person(record_id: UUID, body: PersonIn, writer: WriterDep) -> Response:
    """Make the person of that id (`If-None-Match: *`), or replace it (`If-Match`)."""
    return await replace_record(PERSONS, record_id, body, writer)


@router.patch("/{record_id}", responses=CHANGED(PersonRead), response_class=Response, openapi_extra=patch_of(PersonIn))
async def update_person(record_id: UUID, writer: WriterDep) -> Response:
    """Change a person by a JSON merge patch (RFC 7396): null removes a field, a list is replaced whole."""
    return await update_record(PERSONS, record_id, writer)


@router.delete("/{record_id}", responses=DELETED, response_class=Response, status_code=204)
async def delete_person(record_id: UUID, writer: WriterDep) -> Response:
    """Delete a person; its tombstone answers 410 to whoever could see it."""
    return await delete_record(PERSONS, record_id, writer)


@router.get("/{record_id}/history", responses=HISTORY, response_class=Response)
async def get_person_history(record_id: UUID, caller: EditorDep) -> Response:
    """Read who changed what and when, newest first; for editors."""
    return await get_history(PERSONS, record_id, caller)


@router.get("/{record_id}/similar", responses=SIMILAR, response_class=Response)
async def get_similar_persons(record_id: UUID, caller: CallerDep, lang: Annotated[Lang, Query()] = None) -> Response:
    """Read who may be the same person, with scores and reasons; nobody is merged by that alone."""
    return await same.get_similar(record_id, lang, caller)


@router.put("/{record_id}/not-same/{other_id}", responses=JUDGED, response_class=Response, status_code=204)
async def judge_not_same(record_id: UUID, other_id: Other, writer: WriterDep) -> Response:
    """Record that two persons are not one; they are not suggested for each other any more."""
    return await same.judge_not_same(record_id, other_id, writer)


@router.delete("/{record_id}/not-same/{other_id}", responses=JUDGED, response_class=Response, status_code=204)
async def withdraw_not_same(record_id: UUID, other_id: Other, writer: WriterDep) -> Response:
    """Take back that two persons are not one."""
    return await same.withdraw_not_same(record_id, other_id, writer)


@router.post("/{record_id}/merge", responses=ONE(PersonRead), response_class=Response)
async def merge_person(record_id: UUID, body: same.Merge, writer: WriterDep) -> Response:
    """Merge this person into another (`If-Match`): this id then answers 308, what named it names the other."""
    return await same.merge_persons(record_id, body.into, writer)


@router.delete("/{record_id}/merge", responses=ONE(PersonRead), response_class=Response)
async def undo_merge(record_id: UUID, writer: WriterDep) -> Response:
    """Take a merge back: this person as it was, with all that moved and still is there."""
    return await same.undo_merge(record_id, writer)


PROTECTED: Responses = {200: {"model": ProtectedRead}, **openapi.MERGED, **problems(Forbidden, NotFound, errors.Gone)}


@router.get("/{record_id}/protected", responses=PROTECTED, response_class=Response)
async def get_protected(record_id: UUID, writer: GuardianWriterDep) -> Response:
    """Read what only guardians may: relatives, health, address, aid. The reading is recorded."""
    return await read_protected(record_id, writer)


@router.put("/{record_id}/protected", responses={**PROTECTED, **problems(*WRITING, NotFound)}, response_class=Response)
async def replace_protected(record_id: UUID, body: ProtectedFields, writer: GuardianWriterDep) -> Response:
    """Replace the protected part."""
    return await write_protected(record_id, body, writer)


ERASED = {200: {"model": Erased}, **problems(Forbidden, NotFound, TooLarge, UnsupportedMedia)}


@router.post("/{record_id}/erase", responses=ERASED, response_class=Response)
async def erase_person(record_id: UUID, body: Erasure, writer: GuardianWriterDep) -> Response:
    """Erase a person for good: names, ties, statuses, protected part, all versions; for guardians."""
    return await erase(record_id, body, writer)
