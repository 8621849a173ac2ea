"""How persons are found: filters, order, and what a person is called."""

from typing import Annotated

from pydantic import Field
from sqlalchemy import Date, any_, func

from app.core.filters import (
    TEXTS,
    Day,
    Keys,
    RecordFilter,
    Texts,
    Where,
    below,
    cited,
    exists,
    holds,
    in_group,
    refers,
    rows,
    under_statute,
)
from app.core.names import NameRead, Q, label, matches, ranked
from app.core.pages import ListQuery, by_day
from app.core.records import Part, Resource, citations
from app.core.refs import target
from app.core.status import status_on, with_status
from app.core.text import Line
from app.persons.models import AffiliationRead, PersonIn, PersonRead
from app.sources.queries import cited_sources

P = rows("persons")
A = rows("affiliations")

target(P, label("person_names", "person_id"))

_name = label("person_names", "person_id", by_language=False)(P.c)

PERSONS = Resource(
    name="persons",
    type="person",
    table=P,
    read=PersonRead,
    create=PersonIn,
    ranked=ranked("person"),
    parts=(
        Part("names", rows("person_names"), "person_id", NameRead),
        Part("affiliations", A, "person_id", AffiliationRead),
        citations("person_id"),
    ),
    sorts={
        "name": func.coalesce(_name, "").collate("C"),
        "born": by_day(P.c.born_earliest),
        "died": by_day(P.c.died_earliest),
    },
    includes={"sources": cited_sources("person_id")},
)


class PersonFilter(RecordFilter):
    """Filters of persons."""

    q: Annotated[
        Line | None,
        matches("person", P.c.id),
        Field(description=Q),
    ] = None
    sex: Annotated[Texts, Where(lambda v: P.c.sex == any_(v), TEXTS), Field(description="Any of these.")] = []
    group: Annotated[
        Texts,
        Where(lambda v: in_group(P.c.groups, v), TEXTS, exact=lambda v: holds(P.c.groups, v)),
        Field(description="Belongs to any of these groups."),
    ] = []
    status: Annotated[
        Texts,
        Where(with_status("person_id", "persons"), TEXTS, sees_used=True),
        Field(description="Has, or with `on` had on that day, any of these statuses."),
    ] = []
    on: Annotated[
        Day | None,
        Where(status_on("person_id", "persons"), Date(), sees_used=True),
        Field(description="The day that `status` is asked for."),
    ] = None
    statute: Annotated[
        Keys,
        Where(
            lambda v: exists(
                "charges", rows("charges").c.person_id == P.c.id, under_statute(rows("charges").c.statute_id, v)
            ),
            TEXTS,
        ),
        Field(description="Charged under any of these statutes (id or key) or what rolls up to them."),
    ] = []
    region: Annotated[
        Keys,
        Where(
            lambda v: exists(
                rows("participants").join(rows("events"), rows("events").c.id == rows("participants").c.event_id),
                rows("participants").c.person_id == P.c.id,
                below(rows("events").c.place_id, "places", v),
            ),
            TEXTS,
        ),
        Field(description="Took part in an event in any of these places (id or code) or below them."),
    ] = []
    facility: Annotated[
        Keys,
        Where(
            lambda v: exists(
                "statuses",
                rows("statuses").c.person_id == P.c.id,
                refers(rows("statuses").c.facility_id, "organisations", v),
            ),
            TEXTS,
        ),
        Field(description="Was ever held in any of these facilities (id)."),
    ] = []
    affiliation: Annotated[
        Keys,
        Where(
            lambda v: exists("affiliations", A.c.person_id == P.c.id, below(A.c.organisation_id, "organisations", v)),
            TEXTS,
        ),
        Field(description="Affiliated with any of these organisations (id) or parts of them."),
    ] = []
    born_from: Annotated[
        Day | None, Where(lambda v: P.c.born_latest >= v, Date()), Field(description="Possibly born on or after.")
    ] = None
    born_to: Annotated[
        Day | None, Where(lambda v: P.c.born_earliest < v, Date()), Field(description="Possibly born before.")
    ] = None
    source: Annotated[Keys, cited("person_id", "persons"), Field(description="Cites any of these sources.")] = []


class PersonQuery(PersonFilter, ListQuery):
    """Everything that the list of persons takes."""
