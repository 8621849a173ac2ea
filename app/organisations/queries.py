"""How organisations are found: filters, order, and what an organisation is called."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import Date

from app.core.filters import TEXTS, Day, Keys, RecordFilter, Texts, Where, below, cited, of_kind, rows
from app.core.names import NameRead, Q, label, matches, ranked
from app.core.pages import ListQuery
from app.core.records import Part, Resource, citations
from app.core.refs import target
from app.core.status import status_on, with_status
from app.core.text import Line
from app.organisations.models import OrganisationIn, OrganisationRead
from app.sources.queries import cited_sources

ORG = rows("organisations")

target(ORG, label("organisation_names", "organisation_id"))

ORGANISATIONS = Resource(
    name="organisations",
    type="organisation",
    table=ORG,
    read=OrganisationRead,
    create=OrganisationIn,
    ranked=ranked("organisation"),
    parts=(Part("names", rows("organisation_names"), "organisation_id", NameRead), citations("organisation_id")),
    includes={"sources": cited_sources("organisation_id")},
)


class OrganisationFilter(RecordFilter):
    """Filters of organisations."""

    q: Annotated[
        Line | None,
        matches("organisation", ORG.c.id),
        Field(description=Q),
    ] = None
    kind: Annotated[
        Texts, of_kind(ORG.c.kind, "organisation_kind"), Field(description="Any of these kinds, or a narrower one.")
    ] = []
    place: Annotated[
        Keys,
        Where(lambda v: below(ORG.c.place_id, "places", v), TEXTS),
        Field(description="In these places (id or code) or below them."),
    ] = []
    within: Annotated[
        Keys,
        Where(lambda v: below(ORG.c.id, "organisations", v), TEXTS),
        Field(description="These organisations (id) and all that are part of them."),
    ] = []
    status: Annotated[
        Texts,
        Where(with_status("organisation_id", "organisations"), TEXTS, sees_used=True),
        Field(description="Has, or with `on` had on that day, any of these statuses."),
    ] = []
    on: Annotated[
        Day | None,
        Where(status_on("organisation_id", "organisations"), Date(), sees_used=True),
        Field(description="The day that `status` is asked for."),
    ] = None
    source: Annotated[
        Keys, cited("organisation_id", "organisations"), Field(description="Cites any of these sources.")
    ] = []


class OrganisationQuery(OrganisationFilter, ListQuery):
    """Everything that the list of organisations takes."""
