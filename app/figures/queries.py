"""How published figures are found: filters, order, and what a figure is called."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Response
from pydantic import Field
from sqlalchemy import any_, func
from sqlalchemy.types import Text

from app.core.access import Caller
from app.core.errors import invalid
from app.core.filters import TEXTS, Keys, RecordFilter, Texts, Where, cited, refers, rows
from app.core.http import conditional, etag_of
from app.core.pages import ListQuery, OneQuery
from app.core.records import Resource, citations
from app.core.refs import target
from app.figures.models import FigureIn, FigureRead
from app.sources.queries import cited_sources

F = rows("figures")

target(F, lambda figure: func.concat_ws(" ", func.trim_scale(figure.value).cast(Text), figure.unit))

FIGURES = Resource(
    name="figures",
    type="figure",
    table=F,
    read=FigureRead,
    create=FigureIn,
    parts=(citations("figure_id"),),
    sorts={"measure": F.c.measure.collate("C"), "value": F.c.value},
    includes={"sources": cited_sources("figure_id")},
)


BESIDE: dict[str, Callable[[list[dict[str, Any]], Caller], Awaitable[None]]] = {}
"""What can stand beside figures as they are answered, by its name in `include`; filled by the statistics."""


def _own(query: OneQuery) -> tuple[OneQuery, list[str]]:
    """Split `include` into what the shared verbs embed and what is put beside the figures here."""
    names = (query.include or "").split(",")
    kept = ",".join(n for n in names if n not in BESIDE) or None
    return query.model_copy(update={"include": kept}), [n for n in names if n in BESIDE]


async def answer_figures(read: Callable[[Any], Awaitable[Response]], query: OneQuery, caller: Caller) -> Response:
    """Read figures, and put beside each what `include` asks for, such as `computed`."""
    plain, wanted = _own(query)
    if not wanted:
        return await read(plain)
    if query.fields is not None:
        raise invalid("?fields", "with_computed", "fields cannot be given together with include=computed")
    response = await read(plain)
    if response.status_code != 200:  # noqa: PLR2004
        return response
    body = json.loads(bytes(response.body))
    figures = body.get("items", [body])
    for name in wanted:
        await BESIDE[name](figures, caller)
    encoded = json.dumps(body, ensure_ascii=False).encode()
    links = [(n, v) for n, v in response.headers.items() if n == "link"]
    return conditional(caller.request, encoded, etag_of(encoded, body.get("version")), links)


class FigureFilter(RecordFilter):
    """Filters of figures."""

    measure: Annotated[
        Texts, Where(lambda v: F.c.measure == any_(v), TEXTS), Field(description="Any of these measures.")
    ] = []
    qualifier: Annotated[
        Texts, Where(lambda v: F.c.qualifier == any_(v), TEXTS), Field(description="Any of these.")
    ] = []
    unit: Annotated[Keys, Where(lambda v: F.c.unit == any_(v), TEXTS), Field(description="Any of these units.")] = []
    originator: Annotated[
        Keys,
        Where(lambda v: refers(F.c.originator_id, "organisations", v), TEXTS),
        Field(description="Counted by any of these organisations (id)."),
    ] = []
    publisher: Annotated[
        Keys,
        Where(lambda v: refers(F.c.publisher_id, "organisations", v), TEXTS),
        Field(description="Printed by any of these organisations (id)."),
    ] = []
    printed_in: Annotated[
        Keys,
        Where(lambda v: refers(F.c.source_id, "sources", v), TEXTS),
        Field(description="Printed in any of these sources (id)."),
    ] = []
    source: Annotated[Keys, cited("figure_id", "figures"), Field(description="Cites any of these sources.")] = []


class FigureQuery(FigureFilter, ListQuery):
    """Everything that the list of figures takes."""
