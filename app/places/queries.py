"""How places are found: filters, order, and what a place is called."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import any_

from app.core.filters import TEXTS, Keys, RecordFilter, Texts, Where, below, cited, rows
from app.core.names import NameRead, Q, label, matches, ranked
from app.core.pages import ListQuery
from app.core.records import Part, Resource, citations
from app.core.refs import target
from app.core.text import Line
from app.places.models import PlaceIn, PlaceRead

P = rows("places")

target(P, label("place_names", "place_id"), key="code")

PLACES = Resource(
    name="places",
    type="place",
    table=P,
    read=PlaceRead,
    create=PlaceIn,
    ranked=ranked("place"),
    parts=(Part("names", rows("place_names"), "place_id", NameRead), citations("place_id")),
)


class PlaceFilter(RecordFilter):
    """Filters of places."""

    q: Annotated[
        Line | None,
        matches("place", P.c.id),
        Field(description=Q),
    ] = None
    kind: Annotated[Texts, Where(lambda v: P.c.kind == any_(v), TEXTS), Field(description="Any of these kinds.")] = []
    code: Annotated[Keys, Where(lambda v: P.c.code == any_(v), TEXTS), Field(description="Any of these codes.")] = []
    within: Annotated[
        Keys,
        Where(lambda v: below(P.c.id, "places", v), TEXTS),
        Field(description="These places (id or code) and all below them."),
    ] = []
    source: Annotated[Keys, cited("place_id", "places"), Field(description="Cites any of these sources.")] = []


class PlaceQuery(PlaceFilter, ListQuery):
    """Everything that the list of places takes."""
