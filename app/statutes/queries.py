"""How statutes are found: filters, order, and what a statute is called."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import any_, func

from app.core.filters import TEXTS, Keys, RecordFilter, Texts, Where, cited, exists, rows, under_statute
from app.core.pages import ListQuery
from app.core.records import Part, Resource, citations
from app.core.refs import target
from app.core.text import Line
from app.sources.queries import cited_sources
from app.statutes.models import StatuteIn, StatuteRead, TitleRead

S = rows("statutes")
T = rows("statute_titles")

target(S, lambda statute: statute.key, key="key")

STATUTES = Resource(
    name="statutes",
    type="statute",
    table=S,
    read=StatuteRead,
    create=StatuteIn,
    parts=(Part("titles", T, "statute_id", TitleRead), citations("statute_id")),
    sorts={"key": S.c.key},
    default_sort="key",
    includes={"sources": cited_sources("statute_id")},
)


class StatuteFilter(RecordFilter):
    """Filters of statutes."""

    q: Annotated[
        Line | None,
        Where(
            lambda v: exists(
                "statute_titles", T.c.statute_id == S.c.id, func.strpos(func.lower(T.c.text), func.lower(v)) > 0
            ),
            T.c.text.type,
        ),
        Field(description="Part of any of its titles."),
    ] = None
    statute: Annotated[
        Keys,
        Where(lambda v: under_statute(S.c.id, v), TEXTS),
        Field(
            description="These (id or key) and what rolls up to them: BY-CC-342 has its parts, BY-CC the whole code."
        ),
    ] = []
    jurisdiction: Annotated[
        Keys, Where(lambda v: S.c.jurisdiction == any_(v), TEXTS), Field(description="Any of these jurisdictions.")
    ] = []
    code: Annotated[
        Keys, Where(lambda v: S.c.code == any_(v), TEXTS), Field(description="Any of these codes of law.")
    ] = []
    article: Annotated[
        Keys, Where(lambda v: S.c.article == any_(v), TEXTS), Field(description="Any of these articles.")
    ] = []
    nature: Annotated[
        Texts, Where(lambda v: S.c.nature == any_(v), TEXTS), Field(description="Any of these natures.")
    ] = []
    source: Annotated[Keys, cited("statute_id", "statutes"), Field(description="Cites any of these sources.")] = []


class StatuteQuery(StatuteFilter, ListQuery):
    """Everything that the list of statutes takes."""
