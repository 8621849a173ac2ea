"""A statute: one place in a law. A part rolls up to its article, an article to its code."""

from datetime import date
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import model_validator
from sqlalchemy import Computed
from sqlmodel import Field, SQLModel

from app.core.edtf import DateIn, EdtfDate
from app.core.records import PartIn, PartRead, PartRow, Record, RecordIn, RecordRead, link
from app.core.text import Code, Key, Language, Line, Prose


class TitleFields(SQLModel):
    """A title of a statute in one language; an article may be printed under several."""

    text: Annotated[Line, Field(description="The title.")]
    language: Annotated[Language | None, Field(description="BCP 47 language of the title.")] = None


class TitleIn(TitleFields, PartIn):
    """A title as given."""


class TitleRead(TitleFields, PartRead):
    """A title as answered."""


class StatuteFields(SQLModel):
    """Fields that look the same going in and coming out."""

    jurisdiction: Annotated[Key, Field(description="ISO 3166 code of the country, or the name of a treaty body.")]
    code: Annotated[Key, Field(description="Short name of the law, such as CC or AC.")]
    article: Annotated[Key | None, Field(description="Article number as printed; 361-1 is an article, not a part.")] = (
        None
    )
    part: Annotated[Key | None, Field(description="Part of the article.")] = None
    nature: Annotated[Code | None, Field(description="criminal, administrative, … (vocabulary statute_nature).")] = None
    note: Annotated[Prose | None, Field(description="What a reader should know about it.")] = None


class StatuteIn(StatuteFields, RecordIn):
    """A statute as given; an offence printed without a number has a `key` of its own choosing and no article."""

    read_only: ClassVar[frozenset[str]] = RecordIn.read_only | {"article_key", "code_key"}

    key: Annotated[Key | None, Field(description="Unique key; jurisdiction-code-article-part unless said.")] = None
    titles: list[TitleIn] = Field(default_factory=list, max_length=50, description="Its titles.")
    valid_from: Annotated[DateIn | None, Field(description="In force since.")] = None
    valid_to: Annotated[DateIn | None, Field(description="In force until.")] = None

    @model_validator(mode="after")
    def _key_and_part(self) -> "StatuteIn":
        if self.part is not None and self.article is None:
            msg = "a part needs the article it is part of"
            raise ValueError(msg)
        if self.key is None:
            self.key = "-".join(p for p in (self.jurisdiction, self.code, self.article, self.part) if p is not None)
        return self


class StatuteRead(StatuteFields, RecordRead):
    """A statute as answered."""

    key: str = Field(description="Unique key, such as BY-CC-342-1.")
    article_key: str | None = Field(description="Key of its article, which filters roll up to.")
    code_key: str = Field(description="Key of its code.")
    titles: list[TitleRead] = Field(description="Its titles.")
    valid_from: EdtfDate | None = Field(description="In force since.")
    valid_to: EdtfDate | None = Field(description="In force until.")


class Statute(Record, StatuteFields, table=True):
    """A statute as kept; the keys that it rolls up to are generated, so they cannot disagree with its numbers."""

    __tablename__ = "statutes"

    key: str = Field(unique=True)
    article_key: str | None = Field(
        default=None,
        sa_column_args=[Computed("jurisdiction || '-' || code || '-' || article", persisted=True)],
        index=True,
    )
    code_key: str = Field(
        default="", sa_column_args=[Computed("jurisdiction || '-' || code", persisted=True)], index=True
    )
    valid_from: str | None = None
    valid_from_earliest: date | None = None
    valid_from_latest: date | None = None
    valid_from_printed: str | None = None
    valid_from_inferred: bool | None = None
    valid_to: str | None = None
    valid_to_earliest: date | None = None
    valid_to_latest: date | None = None
    valid_to_printed: str | None = None
    valid_to_inferred: bool | None = None


class StatuteTitle(PartRow, TitleFields, table=True):
    """One title of a statute."""

    __tablename__ = "statute_titles"

    statute_id: UUID = link("statutes", required=True, cascade=True)
