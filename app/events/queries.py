"""How events are found: filters, order, and what an event is called."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import Date, and_, any_, bindparam, cast, func, literal_column, or_, select, true
from sqlalchemy.types import Text

from app.cases.queries import CASES
from app.core.ages import age_band
from app.core.filters import (
    NOT_STATED,
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
    in_group,
    literally,
    of_kind,
    of_statutes,
    refers,
    rows,
    starts,
    without_region,
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


OF_PERSON = ("age_band", "group", "person", "sex")
"""Filters that together are about one participant, in the `role` that is asked for."""


def participant_conditions(used: frozenset[str], participant: Any, person: Any) -> list[Any]:
    """Return what the filters of persons in use ask of one participant and the person it is."""

    def named_in(name: str, found: Any, absent: Any) -> list[Any]:
        if name not in used:
            return []
        return [or_(found, absent) if f"{name}={NOT_STATED}" in used else found]

    def given(name: str) -> Any:
        return bindparam(name, type_=TEXTS)

    band = age_band(person.c, func.coalesce(E.c.date_earliest, E.c.date_latest))
    return [
        *named_in("sex", person.c.sex == any_(given("sex")), person.c.sex.is_(None)),
        *named_in(
            "group",
            in_group(person.c.groups, given("group"), used),
            func.coalesce(func.cardinality(person.c.groups), 0) == 0,
        ),
        *named_in("age_band", band == any_(given("age_band")), band.is_(None)),
        *named_in(
            "person", refers(participant.c.person_id, "persons", given("person")), participant.c.person_id.is_(None)
        ),
    ]


def with_participants(used: frozenset[str], *, organisations: bool = False) -> tuple[Any, Any, Any]:
    """Return participants and persons for a join to `events`, and the condition that joins the participants."""
    participant, person = P.alias(), PERSON.alias()
    on = [participant.c.event_id == E.c.id]
    if not organisations:
        on.append(participant.c.organisation_id.is_(None))
    if "role" in used:
        on.append(participant.c.role == any_(bindparam("role", type_=TEXTS)))
    return participant, person, and_(*on)


def _same_person(own: str) -> Any:
    """Condition that one participant meets all filters of persons; the first in use stands for all of them."""

    def condition(_value: Any, used: frozenset[str]) -> Any:
        if own != min(n for n in OF_PERSON if n in used):
            return true()
        participant, person, on = with_participants(used)
        asked = participant_conditions(used, participant, person)
        if any(f"{n}={NOT_STATED}" in used for n in OF_PERSON):
            one = select(literal_column("1").label("one")).subquery()
            people = one.outerjoin(participant.outerjoin(person, person.c.id == participant.c.person_id), on)
            return select(1).select_from(people).where(*asked).correlate(E).exists()
        people = participant.outerjoin(person, person.c.id == participant.c.person_id)
        return select(1).select_from(people).where(on, *asked).correlate(E).exists()

    return condition


class EventFilter(DatedFilter):
    """Filters of events; `from` and `to` are about when it happened."""

    type: Annotated[
        Texts, of_kind(E.c.type, "event_type"), Field(description="Any of these types, or a narrower one.")
    ] = []
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
        Where(
            lambda v: below(E.c.place_id, "places", v),
            TEXTS,
            exact=lambda v: refers(E.c.place_id, "places", v),
            absent=lambda: E.c.place_id.is_(None),
        ),
        Field(description="In any of these places (id or code) or below them."),
    ] = []
    region: Annotated[
        Keys,
        Where(lambda v: below(E.c.place_id, "places", v), TEXTS, absent=lambda: without_region(E.c.place_id)),
        Field(description="The same as `place`; repeat it for a union of regions, such as BY-HM and BY-MI."),
    ] = []
    facility: Annotated[
        Keys,
        Where(
            lambda v: below(E.c.facility_id, "organisations", v),
            TEXTS,
            exact=lambda v: refers(E.c.facility_id, "organisations", v),
            absent=lambda: E.c.facility_id.is_(None),
        ),
        Field(description="In any of these facilities (id)."),
    ] = []
    person: Annotated[
        Keys,
        Where(_same_person("person"), TEXTS, sees_used=True),
        Field(description="In which any of these persons (id) took part."),
    ] = []
    organisation: Annotated[
        Keys,
        Where(
            lambda v: _participant(refers(P.c.organisation_id, "organisations", v)),
            TEXTS,
            absent=lambda: ~_participant(P.c.organisation_id.is_not(None)),
        ),
        Field(description="In which any of these organisations (id) took part."),
    ] = []
    role: Annotated[
        Texts,
        Where(lambda v: _participant(P.c.role == any_(v)), TEXTS, absent=lambda: ~_participant()),
        Field(description="With a participant in any of these roles; `person`, `sex`, `group` then are that one's."),
    ] = []
    sex: Annotated[
        Texts,
        Where(_same_person("sex"), TEXTS, sees_used=True),
        Field(description="With a person of this sex."),
    ] = []
    group: Annotated[
        Texts,
        Where(_same_person("group"), TEXTS, sees_used=True, exact=literally),
        Field(description="With a person of any of these groups, or a narrower one."),
    ] = []
    age_band: Annotated[
        Keys,
        Where(_same_person("age_band"), TEXTS, sees_used=True),
        Field(description="With a person of this age on the event's earliest day: under_18, 18_24, 25_34, … 65_over."),
    ] = []
    statute: Annotated[
        Keys,
        of_statutes("statute", "event_statutes", lambda x: x.c.event_id == E.c.id),
        Field(description="Done under any of these statutes (id or key) or what rolls up to them."),
    ] = []
    article: Annotated[
        Keys,
        of_statutes("article", "event_statutes", lambda x: x.c.event_id == E.c.id),
        Field(description="Done under any of these articles (BY-CC-342) or parts of them."),
    ] = []
    code: Annotated[
        Keys,
        of_statutes("code", "event_statutes", lambda x: x.c.event_id == E.c.id),
        Field(description="Done under any of these codes of law (BY-CC)."),
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
    origin: Annotated[
        Keys, Where(lambda v: E.c.origin == any_(v), TEXTS), Field(description="Recorded by any of these origins.")
    ] = []
    q: Annotated[
        Line | None,
        Where(lambda v: func.strpos(func.lower(E.c.description), func.lower(v)) > 0, Text()),
        Field(description="Part of its description."),
    ] = None
    source: Annotated[Keys, cited("event_id", "events"), Field(description="Cites any of these sources.")] = []


class EventQuery(EventFilter, ListQuery):
    """Everything that the list of events takes."""
