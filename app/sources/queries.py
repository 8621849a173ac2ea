"""How sources are found: filters, order, and what a source is called."""

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Date, any_, func, or_, select

from app.core.filters import (
    TEXTS,
    DatedFilter,
    Day,
    Keys,
    Texts,
    Where,
    cited,
    ends,
    exists,
    of_kind,
    refers,
    rows,
    starts,
)
from app.core.pages import ListQuery, by_day
from app.core.records import Include, Resource, citations
from app.core.refs import target
from app.core.text import Line
from app.sources.models import SourceIn, SourceRead

S = rows("sources")

target(S, lambda source: func.coalesce(source.title, source.identifier, source.url))

SOURCES = Resource(
    name="sources",
    type="source",
    table=S,
    read=SourceRead,
    create=SourceIn,
    parts=(citations("cited_by_id"),),
    sorts={"published": by_day(S.c.published_earliest)},
)


def cited_sources(owner: str) -> Include:
    """Embed the whole records of the sources that a record cites; `owner` is its column in `citations`."""

    def cites(source: Any, record: Any) -> Any:
        c = rows("citations").c
        return exists("citations", c.source_id == source.c.id, c[owner] == record)

    return Include(lambda: SOURCES, cites, rest="cited_by")


SOURCES.includes["sources"] = cited_sources("cited_by_id")


class SourceFilter(DatedFilter):
    """Filters of sources; `from` and `to` are about when it was published."""

    q: Annotated[
        Line | None,
        Where(lambda v: func.strpos(func.lower(S.c.title), func.lower(v)) > 0, S.c.title.type),
        Field(description="Part of its title."),
    ] = None
    kind: Annotated[
        Texts, of_kind(S.c.kind, "source_kind"), Field(description="Any of these kinds, or a narrower one.")
    ] = []
    publisher: Annotated[
        Keys,
        Where(lambda v: refers(S.c.publisher_id, "organisations", v), TEXTS),
        Field(description="Published by any of these organisations (id)."),
    ] = []
    originator: Annotated[
        Keys,
        Where(lambda v: refers(S.c.originator_id, "organisations", v), TEXTS),
        Field(description="Prints the facts of any of these organisations (id)."),
    ] = []
    cited_by: Annotated[
        Keys,
        Where(
            lambda v: S.c.id.in_(
                select(rows("citations").c.source_id).where(
                    or_(*(c.cast(S.c.title.type) == any_(v) for c in _owners())),
                )
            ),
            TEXTS,
        ),
        Field(description="Cited by any of these records (id)."),
    ] = []
    start: Annotated[
        Day | None,
        Where(starts("sources", "published"), Date(), sees_used=True),
        Field(alias="from", description="Published on or after."),
    ] = None
    end: Annotated[
        Day | None,
        Where(ends("sources", "published"), Date(), sees_used=True),
        Field(alias="to", description="Published before."),
    ] = None
    source: Annotated[Keys, cited("cited_by_id", "sources"), Field(description="Cites any of these sources.")] = []


def _owners() -> list[Any]:
    c = rows("citations").c
    return [column for column in c if column.name.endswith("_id") and column.name != "source_id"]


class SourceQuery(SourceFilter, ListQuery):
    """Everything that the list of sources takes."""
