"""Names of persons, organisations and places: one name, many spellings, each with its language, script and source."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, func, select
from sqlmodel import Field, SQLModel

from app.core.filters import Where, exists, rows
from app.core.records import PartIn, PartRead, PartRow, link
from app.core.refs import Ref, Reference, To
from app.core.text import Code, Language, Line, Script

SQL = ColumnElement[Any]


class NameFields(SQLModel):
    """Fields of a name that look the same going in and coming out."""

    text: Annotated[Line, Field(description="The name as written.")]
    language: Annotated[Language | None, Field(description="BCP 47 language of this form, such as be, ru, en.")] = None
    script: Annotated[Script | None, Field(description="ISO 15924 script, such as Cyrl or Latn.")] = None
    kind: Annotated[Code, Field(description="primary, alias, birth, transliteration, … (vocabulary name_kind).")] = (
        "primary"
    )


class NameIn(NameFields, PartIn):
    """A name as given; the first in the list is the one shown."""

    source: Annotated[Ref | None, To("sources"), Field(description="Where this spelling is printed.")] = None


class NameRead(NameFields, PartRead):
    """A name as answered."""

    source: Annotated[Reference | None, To("sources"), Field(description="Where this spelling is printed.")]


class NameRow(PartRow, NameFields):
    """Columns of a table of names."""

    source_id: UUID | None = link("sources")


def label(table: str, owner: str) -> Callable[[Any], SQL]:
    """Say what a record is called: the first of its names that the caller may see."""

    def first(record: Any) -> SQL:
        name = rows(table).alias()
        found = select(name.c.text).where(name.c[owner] == record.id).order_by(name.c.position, name.c.id).limit(1)
        return found.scalar_subquery()

    return first


def matches(table: str, owner: str, record: SQL) -> Where:
    """Filter by `q`: every word of it is part of some name of the record, in any case of letters."""

    def condition(value: SQL) -> SQL:
        words = func.unnest(func.string_to_array(func.lower(value), " ")).table_valued("word").render_derived()
        name = rows(table).alias()
        said = exists(name, name.c[owner] == record, func.strpos(func.lower(name.c.text), words.c.word) > 0)
        return ~exists(words, ~said)

    return Where(condition, Text())
