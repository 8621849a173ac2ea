"""Routes of the feed."""

from typing import Annotated, ClassVar
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from app.changes.actions import confirm, list_unconfirmed, read_changes
from app.changes.bulk import BulkAnswer, BulkQuery, BulkRow, write_in_bulk
from app.changes.digest import get_digest
from app.changes.models import (
    Changes,
    ChangesQuery,
    Confirmation,
    Digest,
    DigestQuery,
    Selection,
    UnconfirmedQuery,
    Withdrawals,
)
from app.changes.proposals import Acceptance, Proposal, Proposals, ProposalsQuery, accept, list_proposals, reject
from app.changes.snapshot import stream_snapshot
from app.core.access import CallerDep, EditorDep, SenderDep, WriterDep
from app.core.errors import Forbidden, Gone, TooLarge, UnsupportedMedia
from app.core.http import Route
from app.core.openapi import CHANGING, Responses, problems

router = APIRouter(prefix="/v1", tags=["changes"], route_class=Route)


@router.get("/changes", responses={200: {"model": Changes}, **problems(Gone)}, response_class=Response)
async def list_changes(query: Annotated[ChangesQuery, Query()], caller: CallerDep) -> Response:
    """Read what changed since a cursor, each record as the caller sees it now; at least once, in order."""
    return await read_changes(query, caller)


@router.post("/changes/ack", responses={204: {"description": "It is noted."}, **problems(Gone)}, status_code=204)
async def confirm_changes(body: Confirmation, caller: CallerDep) -> Response:
    """Confirm that everything up to a cursor is stored, withdrawals included; editors see who has not."""
    return await confirm(body.cursor, caller)


@router.get(
    "/changes/unconfirmed", responses={200: {"model": Withdrawals}, **problems(Forbidden)}, response_class=Response
)
async def list_unconfirmed_withdrawals(query: Annotated[UnconfirmedQuery, Query()], caller: EditorDep) -> Response:
    """List records that were taken from the partners, with the holders who have not confirmed it; for editors."""
    return await list_unconfirmed(query, caller)


@router.get(
    "/snapshot",
    responses={200: {"content": {"application/x-ndjson": {}}, "description": "One line a record."}, **problems()},
    response_class=Response,
)
async def get_snapshot(query: Annotated[Selection, Query()], caller: CallerDep) -> Response:
    """Read everything the caller may see, as of one moment: a cursor, the records, and an end that verifies them."""
    return await stream_snapshot(query, caller)


@router.get("/digest", responses={200: {"model": Digest}, **problems()}, response_class=Response)
async def get_content_digest(query: Annotated[DigestQuery, Query()], caller: CallerDep) -> Response:
    """Read checksums of everything of a type that the caller may see, to compare two registries without a reload."""
    return await get_digest(query, caller)


@router.get("/proposals", responses={200: {"model": Proposals}, **problems(Forbidden)}, response_class=Response)
async def list_open_proposals(query: Annotated[ProposalsQuery, Query()], caller: EditorDep) -> Response:
    """List what others sent and an editor is to decide on: new records, edits, conflicts with both values."""
    return await list_proposals(query, caller)


ProposalId = Annotated[UUID, Path(description="Id of the proposal.")]
DECIDED: Responses = {200: {"model": Proposal}, **problems(*CHANGING)}


@router.post("/proposals/{proposal_id}/accept", responses=DECIDED, response_class=Response)
async def accept_proposal(proposal_id: ProposalId, body: Acceptance, writer: WriterDep) -> Response:
    """Put what is proposed, or some of it, into the record (`If-Match`: its version); a new record counts as seen."""
    return await accept(proposal_id, body, writer)


@router.post("/proposals/{proposal_id}/reject", responses=DECIDED, response_class=Response)
async def reject_proposal(proposal_id: ProposalId, writer: WriterDep) -> Response:
    """Leave the record as it is (`If-Match`: its version); a new record is deleted, for good."""
    return await reject(proposal_id, writer)


class LongRoute(Route):
    """A route whose body is read row by row, however long."""

    reads_body: ClassVar[bool] = False
    time_limit: ClassVar[float] = 600


long_bodies = APIRouter(prefix="/v1", tags=["changes"], route_class=LongRoute)

ROWS = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}},
            "application/json": {"schema": {"type": "array", "maxItems": 10_000, "items": BulkRow.model_json_schema()}},
        },
    }
}


@long_bodies.post(
    "/bulk",
    responses={200: {"model": BulkAnswer}, **problems(Forbidden, TooLarge, UnsupportedMedia)},
    response_class=Response,
    openapi_extra=ROWS,
)
async def write_bulk(query: Annotated[BulkQuery, Query()], request: Request, writer: SenderDep) -> Response:
    """Write up to 10,000 records by origin and origin id; the answer says of each row what became of it.

    A partner's key sends records of its own origin, which are restricted until an editor publishes them.
    """
    return await write_in_bulk(query, request, writer)
