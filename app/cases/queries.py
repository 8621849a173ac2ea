"""How cases, charges and sentences are found: filters, order, and what a case is called."""

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Date, any_, func, or_

from app.cases.models import (
    CaseIn,
    CaseRead,
    ChargePart,
    ChargeRead,
    ComponentRead,
    SentencePart,
    SentenceRead,
    Tristate,
)
from app.core.filters import (
    TEXTS,
    DatedFilter,
    Day,
    Keys,
    RecordFilter,
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
from app.persons.queries import PERSONS
from app.sources.queries import cited_sources

C = rows("cases")
H = rows("charges")
S = rows("sentences")
K = rows("sentence_components")

target(C, lambda case: func.concat_ws(" ", case.kind, "case", func.coalesce(case.number, case.decided, case.opened)))

COMPONENTS = Part("components", K, "sentence_id", ComponentRead)

CASES = Resource(
    name="cases",
    type="case",
    table=C,
    read=CaseRead,
    create=CaseIn,
    parts=(
        Part("charges", H, "case_id", ChargePart),
        Part("sentences", S, "case_id", SentencePart, (COMPONENTS,)),
        citations("case_id"),
    ),
    links=(Links("judges", rows("case_judges"), "case_id", "person_id", "persons"),),
    sorts={
        "decided": by_day(C.c.decided_earliest),
        "opened": by_day(C.c.opened_earliest),
    },
    includes={"sources": cited_sources("case_id")},
)

CHARGES = Resource(name="charges", type="charge", table=H, read=ChargeRead)
SENTENCES = Resource(name="sentences", type="sentence", table=S, read=SentenceRead, parts=(COMPONENTS,))


def of_person(case: Any, person: Any) -> Any:
    """Condition that a person is charged or sentenced in a case."""
    charged = exists("charges", H.c.case_id == case, H.c.person_id == person)
    return or_(charged, exists("sentences", S.c.case_id == case, S.c.person_id == person))


PERSONS.includes["cases"] = Include(lambda: CASES, lambda case, person: of_person(case.c.id, person), rest="person")


class CaseFilter(DatedFilter):
    """Filters of cases; `from` and `to` are about when a case was decided, or with `date_field=opened` opened."""

    kind: Annotated[Texts, Where(lambda v: C.c.kind == any_(v), TEXTS), Field(description="Any of these kinds.")] = []
    stage: Annotated[
        Texts, Where(lambda v: C.c.stage == any_(v), TEXTS), Field(description="Any of these stages.")
    ] = []
    result: Annotated[
        Texts, Where(lambda v: C.c.result == any_(v), TEXTS), Field(description="Any of these results.")
    ] = []
    court: Annotated[
        Keys,
        Where(lambda v: below(C.c.court_id, "organisations", v), TEXTS),
        Field(description="Before any of these courts (id)."),
    ] = []
    judge: Annotated[
        Keys,
        Where(
            lambda v: exists(
                "case_judges",
                rows("case_judges").c.case_id == C.c.id,
                refers(rows("case_judges").c.person_id, "persons", v),
            ),
            TEXTS,
        ),
        Field(description="Before any of these judges (id)."),
    ] = []
    statute: Annotated[
        Keys,
        Where(lambda v: exists("charges", H.c.case_id == C.c.id, under_statute(H.c.statute_id, v)), TEXTS),
        Field(description="With a charge under any of these statutes (id or key) or what rolls up to them."),
    ] = []
    person: Annotated[
        Keys,
        Where(
            lambda v: or_(
                exists("charges", H.c.case_id == C.c.id, refers(H.c.person_id, "persons", v)),
                exists("sentences", S.c.case_id == C.c.id, refers(S.c.person_id, "persons", v)),
            ),
            TEXTS,
        ),
        Field(description="In which any of these persons (id) is charged or sentenced."),
    ] = []
    in_absentia: Annotated[
        list[Tristate], Where(lambda v: C.c.in_absentia == any_(v), TEXTS), Field(description="yes, no or unknown.")
    ] = []
    sentence: Annotated[
        Texts,
        Where(
            lambda v: exists(S.join(K, K.c.sentence_id == S.c.id), S.c.case_id == C.c.id, K.c.kind == any_(v)),
            TEXTS,
        ),
        Field(description="With a sentence of any of these kinds."),
    ] = []
    outcome: Annotated[
        Texts,
        Where(lambda v: exists("sentences", S.c.case_id == C.c.id, S.c.outcome == any_(v)), TEXTS),
        Field(description="With a sentence of any of these outcomes."),
    ] = []
    context: Annotated[
        Texts,
        Where(lambda v: holds(C.c.contexts, v), TEXTS),
        Field(description="In any of these contexts."),
    ] = []
    start: Annotated[
        Day | None,
        Where(starts("cases", "decided"), Date(), sees_used=True),
        Field(alias="from", description="Decided on or after."),
    ] = None
    end: Annotated[
        Day | None,
        Where(ends("cases", "decided"), Date(), sees_used=True),
        Field(alias="to", description="Decided before."),
    ] = None
    source: Annotated[Keys, cited("case_id", "cases"), Field(description="Cites any of these sources.")] = []


class CaseQuery(CaseFilter, ListQuery):
    """Everything that the list of cases takes."""


class ChargeFilter(DatedFilter):
    """Filters of charges; `from` and `to` are about a charge's own date."""

    case: Annotated[
        Keys, Where(lambda v: refers(H.c.case_id, "cases", v), TEXTS), Field(description="Of any of these cases (id).")
    ] = []
    person: Annotated[
        Keys,
        Where(lambda v: refers(H.c.person_id, "persons", v), TEXTS),
        Field(description="Against any of these persons (id)."),
    ] = []
    statute: Annotated[
        Keys,
        Where(lambda v: under_statute(H.c.statute_id, v), TEXTS),
        Field(description="Under any of these statutes (id or key) or what rolls up to them."),
    ] = []
    status: Annotated[Texts, Where(lambda v: H.c.status == any_(v), TEXTS), Field(description="Any of these.")] = []
    reason: Annotated[Texts, Where(lambda v: H.c.reason == any_(v), TEXTS), Field(description="Any of these.")] = []
    start: Annotated[
        Day | None,
        Where(starts("charges", "date"), Date(), sees_used=True),
        Field(alias="from", description="Dated on or after."),
    ] = None
    end: Annotated[
        Day | None,
        Where(ends("charges", "date"), Date(), sees_used=True),
        Field(alias="to", description="Dated before."),
    ] = None


class ChargeQuery(ChargeFilter, ListQuery):
    """Everything that the list of charges takes."""


class SentenceFilter(RecordFilter):
    """Filters of sentences."""

    case: Annotated[
        Keys, Where(lambda v: refers(S.c.case_id, "cases", v), TEXTS), Field(description="Of any of these cases (id).")
    ] = []
    person: Annotated[
        Keys,
        Where(lambda v: refers(S.c.person_id, "persons", v), TEXTS),
        Field(description="Of any of these persons (id)."),
    ] = []
    outcome: Annotated[Texts, Where(lambda v: S.c.outcome == any_(v), TEXTS), Field(description="Any of these.")] = []
    sentence: Annotated[
        Texts,
        Where(lambda v: exists("sentence_components", K.c.sentence_id == S.c.id, K.c.kind == any_(v)), TEXTS),
        Field(description="With a component of any of these kinds."),
    ] = []


class SentenceQuery(SentenceFilter, ListQuery):
    """Everything that the list of sentences takes."""
