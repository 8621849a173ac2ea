"""Names of persons, organisations and places: one name, many spellings, each with its language, script and source."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    TableValuedAlias,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, SQLModel

from app.core.filters import TEXTS, Where, rows
from app.core.fold import fold
from app.core.name_questions import asked
from app.core.records import PartIn, PartRead, PartRow, link
from app.core.refs import Ref, Reference, To
from app.core.shapes import readers_first
from app.core.text import Code, Language, Line, Script

SQL = ColumnElement[Any]

Q = (
    "Words of any spelling of any name, in any order, the last perhaps unfinished; best first unless `sort` is given. "
    "Where nothing has them all, a typing error is allowed for."
)
"""What the filter `q` is."""


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

    def derived(self) -> dict[str, Any]:
        """Fold the name, so that any spelling finds it."""
        return {"folded": fold(self.text)}


class NameRead(NameFields, PartRead):
    """A name as answered."""

    source: Annotated[Reference | None, To("sources"), Field(description="Where this spelling is printed.")]


class NameRow(PartRow, NameFields):
    """Columns of a table of names; PostgreSQL copies `folded` into the keys that `q` searches, by level."""

    folded: str
    source_id: UUID | None = link("sources")


def label(table: str, owner: str, *, by_language: bool = True) -> Callable[[Any], SQL]:
    """Say what a record is called: the first of its names that the caller may see.

    A name in the reader's language goes before the others; not where records are sorted by it, since the order of a
    list must not depend on who turns its pages.
    """

    def first(record: Any) -> SQL:
        name = rows(table).alias()
        order: list[SQL] = [name.c.position, name.c.id]
        if by_language:
            order.insert(0, readers_first(name.c.language))
        return select(name.c.text).where(name.c[owner] == record.id).order_by(*order).limit(1).scalar_subquery()

    return first


def _found(kind: str, *arguments: SQL) -> TableValuedAlias:
    columns = Column("id", postgresql.UUID(as_uuid=True)), Column("rank", Integer)
    called = func.search_names(literal_column(f"'{kind}'"), *arguments)
    return called.table_valued(*columns, name="found").render_derived(name="found")


def ranked(kind: str) -> Callable[..., TableValuedAlias]:
    """Return what `q` finds as a table of its own, `id` and `rank`, the order of lists where no other is asked for.

    Where nothing but `q` selects (`alone`), only as many are found as the page shows, after the cursor where there is
    one: of a name that a hundred thousand have, the rest need not be gathered.
    """

    def table(*, alone: bool, resumed: bool) -> TableValuedAlias:
        arguments: list[SQL] = [bindparam("q", type_=TEXTS)]
        if alone:
            arguments.append(bindparam("limit", type_=Integer))
        if alone and resumed:
            rank, record = (bindparam(f"after_{n}", type_=Text) for n in range(2))
            arguments += [cast(rank, Integer), cast(record, postgresql.UUID(as_uuid=True))]
        return _found(kind, *arguments)

    return table


def matches(kind: str, record: SQL) -> Where:
    """Filter by `q`: the words of any spelling, in any order, the last perhaps unfinished."""

    def condition(value: SQL) -> SQL:
        return record.in_(select(_found(kind, value).c.id))

    return Where(condition, TEXTS, given=asked)
