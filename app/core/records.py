"""What every record has in common: identity, level, citations, and how a resource is declared."""

import builtins
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, JsonValue, StrictBool, field_validator, model_validator
from sqlalchemy import ARRAY, ColumnElement, DateTime, FromClause, SmallInteger, String, Table, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from app.core.edtf import DateIn
from app.core.refs import Ref, Reference, To
from app.core.text import Code, Line

Level = Literal["public", "partner", "restricted"]
LEVELS: tuple[Level, ...] = ("public", "partner", "restricted")
"""Names of the levels; the index is the number that PostgreSQL keeps (0, 1, 2)."""

Ground = Literal["public_record", "consent"]


class Audience(StrEnum):
    """Who is asking: each has a login role and a pool of its own in PostgreSQL."""

    PUBLIC = "public"
    PARTNER = "partner"
    EDITOR = "editor"
    GUARDIAN = "guardian"

    @property
    def sees_everything(self) -> bool:
        """Editors and guardians see all levels, the intake times and the levels' effect."""
        return self in (Audience.EDITOR, Audience.GUARDIAN)

    @property
    def version_column(self) -> str:
        """The counter that moves only when something this audience can see has changed."""
        return "version" if self.sees_everything else f"version_{self.value}"


# --- columns ------------------------------------------------------------------------------------


def codes(description: str) -> Any:
    """Declare a column for a list of vocabulary codes, empty unless said."""
    return Field(
        default_factory=list,
        max_length=50,
        description=description,
        sa_type=ARRAY(String),
        sa_column_kwargs={"nullable": False, "server_default": text("'{}'")},
    )


def link(table: str, *, required: bool = False, cascade: bool = False) -> Any:
    """Declare a foreign key to another record's id.

    Records keep what they refer to alive (RESTRICT); a part goes with the record that owns it (CASCADE).
    """
    ondelete: Literal["CASCADE", "RESTRICT"] = "CASCADE" if cascade else "RESTRICT"
    return Field(default=None, foreign_key=f"{table}.id", ondelete=ondelete, index=True, nullable=not required)


class Row(SQLModel):
    """Columns of every row that has a level, records and their parts alike."""

    id: UUID = Field(
        default_factory=uuid4, primary_key=True, sa_column_kwargs={"server_default": text("gen_random_uuid()")}
    )
    level: int = Field(default=2, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("2")})
    effective_level: int = Field(default=2, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("2")})


class Record(Row):
    """Columns of every record table. PostgreSQL's triggers keep `effective_level`, the versions and `updated_at`."""

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805 -- SQLAlchemy's own form
        """Identity across installations: one record of an origin's id."""
        return (UniqueConstraint("origin", "origin_id", name=f"{cls.__tablename__}_origin"),)

    origin: str
    origin_id: str
    version: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    version_partner: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    version_public: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    publication_ground: str | None = None
    confidence: str | None = None
    created_at: datetime = Field(sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")})
    updated_at: datetime = Field(sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")})


class PartRow(Row):
    """Columns of every nested row; `position` keeps the order in which the parts were given."""

    position: int = Field(default=0, sa_type=SmallInteger, sa_column_kwargs={"server_default": text("0")})


# --- what comes in --------------------------------------------------------------------------------


PERIODS = {
    ("start", "end"): "the period ends before it starts",
    ("valid_from", "valid_to"): "it ceased to be in force before it was",
    ("born", "died"): "the death lies before the birth",
    ("founded", "dissolved"): "it was dissolved before it was founded",
    ("opened", "decided"): "it was decided before it was opened",
}
"""Dates of one input that must not surely lie the wrong way round, and what to say where they do."""


class Input(SQLModel):
    """Base of everything a client sends: an unknown field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False, allow_inf_nan=False)  # type: ignore[assignment]

    read_only: ClassVar[frozenset[str]] = frozenset()
    """Fields of the answer that the service computes: a client may send them back, and they are passed over."""

    __init__ = BaseModel.__init__
    """SQLModel's own makes a model twice as slow, for the sake of tables, which inputs are not."""

    @model_validator(mode="before")
    @classmethod
    def _pass_over_what_the_service_computes(cls, data: Any) -> Any:
        if isinstance(data, dict) and not cls.read_only.isdisjoint(data):
            return {k: v for k, v in data.items() if k not in cls.read_only}
        return data

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "Input":
        for first, last, wrong in _periods(type(self)):
            start, end = getattr(self, first), getattr(self, last)
            if not (isinstance(start, DateIn) and isinstance(end, DateIn)):
                continue
            if start.earliest is not None and end.latest is not None and end.latest < start.earliest:
                raise ValueError(wrong)
        return self


@cache
def _periods(model: type[Input]) -> tuple[tuple[str, str, str], ...]:
    """Return those periods whose two dates an input has."""
    return tuple((a, b, wrong) for (a, b), wrong in PERIODS.items() if {a, b} <= model.model_fields.keys())


class PartIn(Input):
    """What every nested part takes. Give `id` to keep or to name a part; without, equal parts keep theirs."""

    id: UUID | None = Field(default=None, description="Id of this part; made by the service unless given.")
    level: Level | None = Field(
        default=None, description="Stricter level of this part alone; the record's unless said."
    )

    def derived(self) -> dict[str, Any]:
        """Return columns that are kept beside what was given and follow from it."""
        return {}


MAX_VALUE = 4000
UNSTORABLE = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs: JSON can spell them, UTF-8 cannot."""


class CitationFields(SQLModel):
    """Fields of a citation that look the same going in and coming out."""

    fields: list[Line] = Field(
        default_factory=list,
        max_length=50,
        description="Names of the fields that the source supports; empty means the whole record.",
        sa_type=ARRAY(String),
        sa_column_kwargs={"nullable": False, "server_default": text("'{}'")},
    )
    page: Annotated[Line | None, Field(description="Page, paragraph or time code in the source.")] = None
    quote: Annotated[Line | None, Field(description="The source's own words, at most 300 characters.")] = None
    state: Annotated[
        Code, Field(description="active, disputed, corrected or retracted (vocabulary citation_state).")
    ] = "active"
    value: JsonValue = Field(
        default=None,
        description="What this source says instead, where it disagrees; any JSON of up to 4,000 characters.",
        sa_type=JSONB(none_as_null=True),
        nullable=True,
    )
    preferred: StrictBool = Field(
        default=False,
        description="True for the one source whose value the record follows where sources disagree.",
        sa_column_kwargs={"server_default": text("false")},
    )


class CitationIn(CitationFields, PartIn):
    """One source's support for a record, or its dissent."""

    source: Annotated[Ref, To("sources"), Field(description="The source.")]

    @field_validator("value")
    @classmethod
    def _storable(cls, value: JsonValue) -> JsonValue:
        text = json.dumps(value, ensure_ascii=False)
        if len(text) > MAX_VALUE:
            msg = f"has at most {MAX_VALUE:,} characters as JSON"
            raise ValueError(msg)
        if UNSTORABLE.search(text) or "\\u0000" in text:
            msg = "holds characters that cannot be stored"
            raise ValueError(msg)
        return value


class Citation(PartRow, CitationFields, table=True):
    """A citation belongs to exactly one record, whose column is the one that is set."""

    __tablename__ = "citations"

    source_id: UUID = link("sources", required=True)
    person_id: UUID | None = link("persons", cascade=True)
    case_id: UUID | None = link("cases", cascade=True)
    statute_id: UUID | None = link("statutes", cascade=True)
    event_id: UUID | None = link("events", cascade=True)
    organisation_id: UUID | None = link("organisations", cascade=True)
    place_id: UUID | None = link("places", cascade=True)
    status_id: UUID | None = link("statuses", cascade=True)
    cited_by_id: UUID | None = link("sources", cascade=True)
    figure_id: UUID | None = link("figures", cascade=True)


class RecordIn(Input):
    """What every record takes besides its own fields.

    A record that was read may be sent back as it is: the fields which only the service sets are passed over.
    """

    origin: Annotated[Line | None, Field(description="Installation that made the record; this one unless said.")] = None
    origin_id: Annotated[
        Line | None, Field(description="Its id there, unique within the origin; `id` unless said.")
    ] = None
    level: Level = Field(default="restricted", description="Who may see it; restricted unless said.")
    publication_ground: Ground | None = Field(
        default=None, description="Why it may be public; required when level is public."
    )
    confidence: Annotated[
        Code | None, Field(description="Set only where somebody judged it (vocabulary confidence).")
    ] = None
    citations: list[CitationIn] = Field(
        default_factory=list, max_length=500, description="Sources, and where they disagree."
    )

    read_only: ClassVar[frozenset[str]] = frozenset({"id", "version", "effective_level", "created_at", "updated_at"})

    @model_validator(mode="after")
    def _public_needs_a_ground(self) -> "RecordIn":
        if self.level == "public" and self.publication_ground is None:
            msg = "level public needs a publication_ground: public_record or consent"
            raise ValueError(msg)
        return self


# --- what goes out ---------------------------------------------------------------------------------


class Read(SQLModel):
    """Base of everything the service answers. Strict about names, so that a contract test sees any drift."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)  # type: ignore[assignment]


class PartRead(Read):
    """What every nested part shows."""

    id: UUID = Field(description="Id of this part.")
    level: Level = Field(description="Level set on this part; it is never more visible than its record.")


class CitationRead(CitationFields, PartRead):
    """A citation as answered."""

    source: Annotated[Reference, To("sources"), Field(description="The source.")]


class RecordRead(Read):
    """What every record shows besides its own fields."""

    id: UUID = Field(description="Id of the record, random.")
    origin: str = Field(description="Installation that made the record.")
    origin_id: str = Field(description="Id of the record there.")
    version: int = Field(description="Counts the changes that the caller could see; If-Match uses it.")
    level: Level = Field(description="Level set on the record.")
    effective_level: Level | None = Field(
        default=None, description="The strictest of its own level and those of all it names; editors only."
    )
    publication_ground: Ground | None = Field(description="Why it may be public.")
    confidence: str | None = Field(description="How sure it is, where somebody judged it.")
    citations: list[CitationRead] = Field(description="Its sources.")
    created_at: datetime | None = Field(default=None, description="When it was recorded here (UTC); editors only.")
    updated_at: datetime | None = Field(default=None, description="When it last changed here (UTC); editors only.")


EDITORS_ONLY = frozenset({"effective_level", "created_at", "updated_at"})
"""Fields left out of the answers to everybody else: the minute of intake can betray who reported."""

# --- how a resource is declared --------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A nested list of a record, kept in a table of its own.

    `owner` is the column that points at the record; `parts` are the lists nested in each of its items.
    """

    name: str
    table: Table
    owner: str
    read: type[Read]
    parts: "tuple[Part, ...]" = ()


@dataclass(frozen=True)
class Links:
    """A nested list of plain references (a case's judges) in a link table; `owner` and `column` are its two ends."""

    name: str
    table: Table
    owner: str
    column: str
    to: str


@dataclass(frozen=True)
class Include:
    """A list of related records that `include=` embeds: at most 200, and then a URL for the rest.

    `on` gives the condition that ties the related table to the id of the embedding record; `rest` is the
    name of the filter which lists them all.
    """

    resource: "Callable[[], Resource]"
    on: Callable[[Any, ColumnElement[Any]], ColumnElement[bool]]
    rest: str


@dataclass(frozen=True)
class Resource:
    """One kind of record: its table, its shapes, its parts, and what lists of it may be sorted by."""

    name: str
    type: str
    table: Table
    read: builtins.type[Read]
    parts: tuple[Part, ...] = ()
    links: tuple[Links, ...] = ()
    create: builtins.type[RecordIn] | None = None
    key: str | None = None
    sorts: dict[str, ColumnElement[Any]] = field(default_factory=dict)
    default_sort: str = "id"
    includes: dict[str, Include] = field(default_factory=dict)
    ranked: Callable[..., FromClause] | None = None
    """What `q` finds, as `id` and `rank`; without it, `q` gives no order."""

    def __post_init__(self) -> None:
        """Make it known to the OpenAPI document."""
        RESOURCES[self.name] = self

    def __hash__(self) -> int:
        """Hash by name: there is one resource of a name, and statements are cached by it."""
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        """Compare by name, as `__hash__` does."""
        return isinstance(other, Resource) and other.name == self.name


RESOURCES: dict[str, Resource] = {}
"""Every resource by name, filled as each is declared; only the OpenAPI document looks here."""


def citations(owner: str) -> Part:
    """Return the citations part of the records whose column in `citations` is `owner`."""
    return Part("citations", Citation.__table__, owner, CitationRead)  # type: ignore[attr-defined]
