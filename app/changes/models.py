"""What the feed takes and answers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.cases.queries import CASES
from app.core.records import Audience, Resource
from app.core.text import Line
from app.events.queries import EVENTS
from app.figures.queries import FIGURES
from app.organisations.queries import ORGANISATIONS
from app.persons.queries import PERSONS
from app.places.queries import PLACES
from app.sources.queries import SOURCES
from app.statuses.queries import STATUSES
from app.statutes.queries import STATUTES

ORDER: tuple[Resource, ...] = (PLACES, ORGANISATIONS, SOURCES, STATUTES, PERSONS, CASES, EVENTS, STATUSES, FIGURES)
"""All resources; what a record names stands before it, but for sources of places and organisations, and parents."""

RESOURCES: dict[str, Resource] = {r.type: r for r in ORDER}
"""Record type, as the feed names it (`person`) → resource."""

TYPES: tuple[str, ...] = tuple(RESOURCES)

Type = Literal["place", "organisation", "source", "statute", "person", "case", "event", "status", "figure"]

CEILINGS: dict[Audience, int] = {Audience.PUBLIC: 0, Audience.PARTNER: 1, Audience.EDITOR: 2, Audience.GUARDIAN: 2}
"""Audience → the strictest level that it sees."""

Types = Annotated[list[Type], Field(max_length=9, description="Only records of these types; all unless said.")]
Excluded = Annotated[
    Line | None, Field(description="Leave out the records of this origin: give your own, and you see no echo.")
]


class Selection(BaseModel):
    """What part of the registry a mirror follows; a cursor is good for one selection only."""

    model_config = ConfigDict(extra="forbid")

    types: Types = []
    exclude_origin: Excluded = None

    def names(self) -> list[str]:
        """Return the selected types, all of them where none is named."""
        return list(self.types or TYPES)


class ChangesQuery(Selection):
    """Parameters of the feed."""

    cursor: Annotated[
        str | None, Field(max_length=2000, description="Where to go on: from the last page, or from the snapshot.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=1000, description="Most changes read for one page.")] = 100
    wait: Annotated[
        int, Field(ge=0, le=30, description="Seconds to wait for something to come while there is nothing.")
    ] = 0


class DigestQuery(BaseModel):
    """Parameters of a digest."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[Type, Field(description="Records of this type.")]
    exclude_origin: Excluded = None


class UnconfirmedQuery(BaseModel):
    """Parameters of the list of unconfirmed withdrawals."""

    model_config = ConfigDict(extra="forbid")

    before: Annotated[
        int | None, Field(ge=1, lt=2**63, description="Only those with a smaller seq: `next` of the last page.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=200, description="Most withdrawals on one page.")] = 50


class Confirmation(BaseModel):
    """How far a mirror has stored what it was given."""

    model_config = ConfigDict(extra="forbid")

    cursor: Annotated[str, Field(max_length=2000, description="Cursor of the last page that is safely stored.")]


class Upsert(BaseModel):
    """A record that is new or has changed, as the caller sees it now."""

    seq: int = Field(description="Place in this caller's feed; for each role the places are counted apart.")
    op: Literal["upsert"] = Field(description="upsert: store `data` under `id`.")
    type: Type = Field(description="Type of the record.")
    id: UUID = Field(description="Id of the record.")
    origin: str = Field(description="Installation that made the record.")
    version: int = Field(description="Counts the changes of the record that the caller could see.")
    data: dict[str, Any] = Field(description="The record in the form in which it is read by itself.")


class Remove(BaseModel):
    """A record that the caller may no longer see: it is to be deleted wherever it was copied to."""

    seq: int = Field(description="Place in this caller's feed.")
    op: Literal["remove"] = Field(description="remove: delete `id`.")
    type: Type = Field(description="Type of the record.")
    id: UUID = Field(description="Id of the record.")
    origin: str = Field(description="Installation that made the record.")
    reason: Literal["deleted", "withdrawn"] = Field(description="deleted: for good; withdrawn: it may come back.")


class Merge(BaseModel):
    """A record that turned out to be another one."""

    seq: int = Field(description="Place in this caller's feed.")
    op: Literal["merge"] = Field(description="merge: delete `id`, and let what points at it point at `into`.")
    type: Type = Field(description="Type of the records.")
    id: UUID = Field(description="Id that is no longer used.")
    origin: str = Field(description="Installation that made the record.")
    into: UUID = Field(description="Id of the record that it was merged into.")


class Changes(BaseModel):
    """One page of the feed. An empty page is not the end: only `has_more: false` is."""

    items: list[Annotated[Upsert | Remove | Merge, Field(discriminator="op")]] = Field(
        description="In the order of seq; of a record only its last entry on the page."
    )
    cursor: str = Field(description="Where to go on, to be stored together with what this page brought.")
    has_more: bool = Field(description="Whether there is more now.")
    as_of: datetime = Field(description="When the page was read (UTC).")
    lag_s: float = Field(description="Age in seconds of the oldest change that this cursor has not reached; 0 if none.")


class Withdrawal(BaseModel):
    """A record that was taken from the partners, and who has not confirmed that yet."""

    seq: int = Field(description="Place in the partners' feed.")
    type: Type = Field(description="Type of the record.")
    id: UUID = Field(description="Id of the record.")
    reason: Literal["deleted", "withdrawn"] = Field(description="Whether it was deleted or made more restricted.")
    withdrawn_at: datetime = Field(description="When (UTC).")
    partners: list[dict[str, Any]] = Field(
        description="Holders who confirmed it with none of their keys: `holder` (the origin that the keys write "
        "for, or their name where that is this installation), `key` and `name` of the newest key, its `state` (valid; "
        "expired or revoked if none is valid: they are to be told by other means), and `confirmed_at`, when they last "
        "confirmed any."
    )


class Withdrawals(BaseModel):
    """Withdrawals that some partner has not confirmed, the newest first."""

    items: list[Withdrawal] = Field(description="The withdrawals.")
    next: int | None = Field(description="Give it as `before` for the next page; null on the last.")


class Bucket(BaseModel):
    """A 256th of the records of a type."""

    bucket: str = Field(description="First byte of the SHA-256 of `<origin> LF <origin_id>`, in hexadecimal.")
    count: int = Field(description="How many records there are in it.")
    checksum: str = Field(description="SHA-256 over the records' content.")


class Digest(BaseModel):
    """What the caller may see of a type, in 256 checksums; buckets without a record are left out."""

    type: Type = Field(description="Type of the records.")
    level: Literal["public", "partner", "restricted"] = Field(description="The strictest level that the caller sees.")
    cursor: str = Field(description="The feed's position that this is of.")
    buckets: list[Bucket] = Field(description="The buckets that hold records.")
