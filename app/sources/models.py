"""A source: a document that supports records, with its publisher apart from whoever its facts come from."""

from datetime import date
from typing import Annotated
from uuid import UUID

from sqlmodel import Field, SQLModel

from app.core.edtf import DateIn, EdtfDate
from app.core.records import Record, RecordIn, RecordRead, codes, link
from app.core.refs import Ref, Reference, To
from app.core.text import Code, Language, Line, Prose, Sha256, Url


class SourceFields(SQLModel):
    """Fields that look the same going in and coming out."""

    kind: Annotated[Code, Field(description="report, news_article, court_document, … (vocabulary source_kind).")]
    title: Annotated[Line | None, Field(description="Its title in its own language.")] = None
    identifier: Annotated[Line | None, Field(description="Document number or index, such as EUR 49/8966/2025.")] = None
    url: Annotated[Url | None, Field(description="Where it was published; stored, never fetched.")] = None
    archived_url: Annotated[Url | None, Field(description="A lasting copy.")] = None
    language: Annotated[Language | None, Field(description="BCP 47 language it is written in.")] = None
    other_languages: list[Language] = codes("Further languages inside it (BCP 47).")
    sha256: Annotated[Sha256 | None, Field(description="SHA-256 of the copy that was read, in hexadecimal.")] = None
    reliability: Annotated[Code | None, Field(description="How far it can be relied on (vocabulary reliability).")] = (
        None
    )
    note: Annotated[Prose | None, Field(description="What a reader should know about it.")] = None


class SourceIn(SourceFields, RecordIn):
    """A source as given. A source that cites another says so in its own `citations`."""

    publisher: Annotated[Ref | None, To("organisations"), Field(description="Who published it.")] = None
    originator: Annotated[
        Ref | None, To("organisations"), Field(description="Whose facts it prints, if not the publisher's.")
    ] = None
    published: Annotated[DateIn | None, Field(description="When it was published.")] = None
    modified: Annotated[DateIn | None, Field(description="When it was last changed by its publisher.")] = None
    retrieved: Annotated[DateIn | None, Field(description="When it was read or saved.")] = None
    covers: Annotated[DateIn | None, Field(description="The period it reports on.")] = None


class SourceRead(SourceFields, RecordRead):
    """A source as answered."""

    publisher: Annotated[Reference | None, To("organisations"), Field(description="Who published it.")]
    originator: Annotated[Reference | None, To("organisations"), Field(description="Whose facts it prints.")]
    published: EdtfDate | None = Field(description="When it was published.")
    modified: EdtfDate | None = Field(description="When it was last changed by its publisher.")
    retrieved: EdtfDate | None = Field(description="When it was read or saved.")
    covers: EdtfDate | None = Field(description="The period it reports on.")


class Source(Record, SourceFields, table=True):
    """A source as kept."""

    __tablename__ = "sources"

    publisher_id: UUID | None = link("organisations")
    originator_id: UUID | None = link("organisations")
    published: str | None = None
    published_earliest: date | None = None
    published_latest: date | None = None
    published_printed: str | None = None
    published_inferred: bool | None = None
    modified: str | None = None
    modified_earliest: date | None = None
    modified_latest: date | None = None
    modified_printed: str | None = None
    modified_inferred: bool | None = None
    retrieved: str | None = None
    retrieved_earliest: date | None = None
    retrieved_latest: date | None = None
    retrieved_printed: str | None = None
    retrieved_inferred: bool | None = None
    covers: str | None = None
    covers_earliest: date | None = None
    covers_latest: date | None = None
    covers_printed: str | None = None
    covers_inferred: bool | None = None
