"""How published figures are found: filters, order, and what a figure is called."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import any_, func
from sqlalchemy.types import Text

from app.core.filters import TEXTS, Keys, RecordFilter, Texts, Where, cited, refers, rows
from app.core.pages import ListQuery
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
