"""How events are found: filters, order, and what an event is called."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import Date, any_, cast, func
from sqlalchemy.types import Text

from app.cases.queries import CASES
from app.core.filters import (
    TEXTS,
    DatedFilter,
    Day,
    Keys,
    Texts,
    Where,
    below,
    cited,
    ends,
    exists,
    holds,
    refers,
    rows,
    starts,
    under_statute,
)
from app.core.pages import ListQuery, by_day
from app.core.records import Include, Links, Part, Resource, citations
from app.core.refs import target
from app.core.text import Line
from app.events.models import EventIn, EventRead, ParticipantRead
from app.organisations.queries import ORGANISATIONS
from app.persons.queries import PERSONS
from app.sources.queries import cited_sources

E = rows("events")
P = rows("participants")
PERSON = rows("persons")

target(E, lambda event: func.concat_ws(" ", event.type, event.date))

EVENTS = Resource(
    name="events",
    type="event",
    table=E,
    read=EventRead,
    create=EventIn,
    parts=(Part("participants", P, "event_id", ParticipantRead), citations("event_id")),
    links=(Links("statutes", rows("event_statutes"), "event_id", "statute_id", "statutes"),),
    sorts={
        "date": by_day(E.c.date_earliest),
        "reported": by_day(E.c.reported_earliest),
        "type": E.c.type.collate("C"),
    },
    default_sort="-date",
    includes={"sources": cited_sources("event_id")},
)


def _with(column: str) -> Any:
    return lambda event, other: exists("participants", P.c.event_id == event.c.id, P.c[column] == other)


PERSONS.includes["events"] = Include(lambda: EVENTS, _with("person_id"), rest="person")
ORGANISATIONS.includes["events"] = Include(lambda: EVENTS, _with("organisation_id"), rest="organisation")
CASES.includes["events"] = Include(lambda: EVENTS, lambda event, case: event.c.case_id == case, rest="case")


def _participant(*on: Any) -> Any:
    return exists("participants", P.c.event_id == E.c.id, *on)


class EventFilter(DatedFilter):
    """Filters of events; `from` and `to` are about when it happened."""

    type: Annotated[Texts, Where(lambda v: E.c.type == any_(v), TEXTS), Field(description="Any of these types.")] = []
    start: Annotated[
        Day | None,
        Where(starts("events", "date"), Date(), sees_used=True),
        Field(alias="from", description="On or after."),
    ] = None
    end: Annotated[
        Day | None, Where(ends("events", "date"), Date(), sees_used=True), Field(alias="to", description="Before.")
    ] = None
    reported_from: Annotated[
        Day | None,
        Where(starts("events", "reported"), Date(), sees_used=True),
        Field(description="Became known on or after."),
    ] = None
    reported_to: Annotated[
        Day | None, Where(ends("events", "reported"), Date(), sees_used=True), Field(description="Became known before.")
    ] = None
    place: Annotated[
        Keys,
        Where(lambda v: below(E.c.place_id, "places", v), TEXTS),
        Field(description="In any of these places (id or code) or below them."),
    ] = []
    region: Annotated[
        Keys,
        Where(lambda v: below(E.c.place_id, "places", v), TEXTS),
        Field(description="The same as `place`; repeat it for a union of regions, such as BY-HM and BY-MI."),
    ] = []
    facility: Annotated[
        Keys,
        Where(lambda v: below(E.c.facility_id, "organisations", v), TEXTS),
        Field(description="In any of these facilities (id)."),
    ] = []
    person: Annotated[
        Keys,
        Where(lambda v: _participant(refers(P.c.person_id, "persons", v)), TEXTS),
        Field(description="In which any of these persons (id) took part."),
    ] = []
    organisation: Annotated[
        Keys,
        Where(lambda v: _participant(refers(P.c.organisation_id, "organisations", v)), TEXTS),
        Field(description="In which any of these organisations (id) took part."),
    ] = []
    role: Annotated[
        Texts,
        Where(lambda v: _participant(P.c.role == any_(v)), TEXTS),
        Field(description="With a participant in any of these roles."),
    ] = []
    sex: Annotated[
        Texts,
        Where(
            lambda v: exists(
                P.join(PERSON, PERSON.c.id == P.c.person_id), P.c.event_id == E.c.id, PERSON.c.sex == any_(v)
            ),
            TEXTS,
        ),
        Field(description="With a person of this sex."),
    ] = []
    group: Annotated[
        Texts,
        Where(
            lambda v: exists(
                P.join(PERSON, PERSON.c.id == P.c.person_id),
                P.c.event_id == E.c.id,
                holds(PERSON.c.groups, v),
            ),
            TEXTS,
        ),
        Field(description="With a person of any of these groups."),
    ] = []
    statute: Annotated[
        Keys,
        Where(
            lambda v: exists(
                "event_statutes",
                rows("event_statutes").c.event_id == E.c.id,
                under_statute(rows("event_statutes").c.statute_id, v),
            ),
            TEXTS,
        ),
        Field(description="Done under any of these statutes (id or key) or what rolls up to them."),
    ] = []
    case: Annotated[
        Keys,
        Where(lambda v: refers(E.c.case_id, "cases", v), TEXTS),
        Field(description="Belonging to any of these cases (id)."),
    ] = []
    incident: Annotated[
        list[UUID],
        Where(lambda v: cast(E.c.incident, Text) == any_(v), TEXTS),
        Field(description="Of any of these incidents."),
    ] = []
    context: Annotated[
        Texts,
        Where(lambda v: holds(E.c.contexts, v), TEXTS),
        Field(description="In any of these contexts."),
    ] = []
    q: Annotated[
        Line | None,
        Where(lambda v: func.strpos(func.lower(E.c.description), func.lower(v)) > 0, Text()),
        Field(description="Part of its description."),
    ] = None
    source: Annotated[Keys, cited("event_id", "events"), Field(description="Cites any of these sources.")] = []


class EventQuery(EventFilter, ListQuery):
    """Everything that the list of events takes."""
