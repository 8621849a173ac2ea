"""How statuses are found: filters, order, and what a status is called."""

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Date, any_, func, or_

from app.core.filters import (
    TEXTS,
    DatedFilter,
    Day,
    Keys,
    Texts,
    Where,
    below,
    cited,
    exists,
    holds,
    in_group,
    of_kind,
    refers,
    rows,
    without_region,
)
from app.core.pages import ListQuery, by_day
from app.core.records import Include, Resource, citations
from app.core.refs import target
from app.core.status import counted_on, holds_on, surely_on
from app.organisations.queries import ORGANISATIONS
from app.persons.queries import PERSONS
from app.sources.queries import cited_sources
from app.statuses.models import StatusIn, StatusRead

S = rows("statuses")
PERSON = rows("persons")
O = rows("organisations")  # noqa: E741 -- as the other tables are called

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


def _on(value: Any, used: frozenset[str]) -> Any:
    match = next((m for m in ("within", "earliest") if f"date_match={m}" in used), "overlap")
    return {"within": surely_on, "earliest": counted_on, "overlap": holds_on}[match](value)


def _of_person(found: Any, told: Any, exact: Any = None) -> Where:
    def person(*on: Any) -> Any:
        return exists("persons", PERSON.c.id == S.c.person_id, *on)

    literally = (lambda v: person(exact(v))) if exact else None
    return Where(lambda v: person(found(v)), TEXTS, absent=lambda: ~person(told), exact=literally)


class StatusFilter(DatedFilter):
    """Filters of statuses; `date_match` is about the day of `on`."""

    kind: Annotated[
        Texts, of_kind(S.c.kind, "status_kind"), Field(description="Any of these kinds, or a narrower one.")
    ] = []
    status: Annotated[Texts, of_kind(S.c.kind, "status_kind"), Field(description="The same as `kind`.")] = []
    sex: Annotated[
        Texts,
        _of_person(lambda v: PERSON.c.sex == any_(v), PERSON.c.sex.is_not(None)),
        Field(description="Of a person of this sex."),
    ] = []
    group: Annotated[
        Texts,
        _of_person(
            lambda v: in_group(PERSON.c.groups, v),
            func.cardinality(PERSON.c.groups) > 0,
            exact=lambda v: holds(PERSON.c.groups, v),
        ),
        Field(description="Of a person of any of these groups, or a narrower one."),
    ] = []
    region: Annotated[
        Keys,
        Where(
            lambda v: exists("organisations", O.c.id == S.c.facility_id, below(O.c.place_id, "places", v)),
            TEXTS,
            absent=lambda: or_(
                S.c.facility_id.is_(None),
                exists("organisations", O.c.id == S.c.facility_id, without_region(O.c.place_id)),
            ),
        ),
        Field(description="Held in a facility in any of these places (id or code) or below them."),
    ] = []
    origin: Annotated[
        Keys, Where(lambda v: S.c.origin == any_(v), TEXTS), Field(description="Recorded by any of these origins.")
    ] = []
    on: Annotated[
        Day | None,
        Where(_on, Date(), sees_used=True),
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
        Where(
            lambda v: below(S.c.facility_id, "organisations", v),
            TEXTS,
            exact=lambda v: refers(S.c.facility_id, "organisations", v),
            absent=lambda: S.c.facility_id.is_(None),
        ),
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
