"""How statuses are found: filters, order, and what a status is called."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import Date, any_, func

from app.core.filters import TEXTS, Day, Keys, RecordFilter, Texts, Where, below, cited, refers, rows
from app.core.pages import ListQuery, by_day
from app.core.records import Include, Resource, citations
from app.core.refs import target
from app.core.status import holds_on
from app.organisations.queries import ORGANISATIONS
from app.persons.queries import PERSONS
from app.sources.queries import cited_sources
from app.statuses.models import StatusIn, StatusRead

S = rows("statuses")

target(S, lambda status: func.concat_ws(" ", status.kind, status.start))

STATUSES = Resource(
    name="statuses",
    type="status",
    table=S,
    read=StatusRead,
    create=StatusIn,
    parts=(citations("status_id"),),
    sorts={
        "start": by_day(S.c.start_earliest),
        "end": by_day(S.c.end_earliest),
    },
    includes={"sources": cited_sources("status_id")},
)

PERSONS.includes["statuses"] = Include(
    lambda: STATUSES, lambda status, person: status.c.person_id == person, rest="person"
)
ORGANISATIONS.includes["statuses"] = Include(
    lambda: STATUSES, lambda status, organisation: status.c.organisation_id == organisation, rest="organisation"
)


class StatusFilter(RecordFilter):
    """Filters of statuses."""

    kind: Annotated[Texts, Where(lambda v: S.c.kind == any_(v), TEXTS), Field(description="Any of these kinds.")] = []
    on: Annotated[
        Day | None,
        Where(holds_on, Date()),
        Field(description="Holding on this day, as far as the sources tell."),
    ] = None
    start_from: Annotated[
        Day | None, Where(lambda v: S.c.start_latest >= v, Date()), Field(description="Possibly begun on or after.")
    ] = None
    start_to: Annotated[
        Day | None, Where(lambda v: S.c.start_earliest < v, Date()), Field(description="Possibly begun before.")
    ] = None
    person: Annotated[
        Keys,
        Where(lambda v: refers(S.c.person_id, "persons", v), TEXTS),
        Field(description="Of any of these persons (id)."),
    ] = []
    organisation: Annotated[
        Keys,
        Where(lambda v: refers(S.c.organisation_id, "organisations", v), TEXTS),
        Field(description="Of any of these organisations (id)."),
    ] = []
    facility: Annotated[
        Keys,
        Where(lambda v: below(S.c.facility_id, "organisations", v), TEXTS),
        Field(description="Held in any of these facilities (id)."),
    ] = []
    declared_by: Annotated[
        Keys,
        Where(lambda v: refers(S.c.declared_by_id, "organisations", v), TEXTS),
        Field(description="Declared by any of these organisations (id)."),
    ] = []
    criterion: Annotated[
        Keys, Where(lambda v: S.c.criterion == any_(v), TEXTS), Field(description="Any of these criteria.")
    ] = []
    end_ground: Annotated[
        Texts, Where(lambda v: S.c.end_ground == any_(v), TEXTS), Field(description="Any of these grounds.")
    ] = []
    source: Annotated[Keys, cited("status_id", "statuses"), Field(description="Cites any of these sources.")] = []


class StatusQuery(StatusFilter, ListQuery):
    """Everything that the list of statuses takes."""
