"""How cases, charges and sentences are found: filters, order, and what a case is called."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Date, any_, func, select, union_all

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
    Texts,
    Where,
    below,
    cited,
    ends,
    exists,
    holds,
    of_kind,
    of_statutes,
    refers,
    rows,
    starts,
    without,
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


def _names(case: Any, who: Callable[[Any], Any]) -> Any:
    """Condition that somebody is charged or sentenced in a case, told by the column that names them.

    The ids are collected, not asked about case by case: PostgreSQL answers two `EXISTS` with an `OR` between them by
    going through all cases.
    """
    return case.in_(union_all(*(select(t.c.case_id).where(who(t.c.person_id)).correlate_except(t) for t in (H, S))))


def of_person(case: Any, person: Any) -> Any:
    """Condition that a person is charged or sentenced in a case."""
    return _names(case, lambda column: column == person)


PERSONS.includes["cases"] = Include(lambda: CASES, lambda case, person: of_person(case.c.id, person), rest="person")


def when(bound: Any) -> Any:
    """Condition on the date of the case that `date_field` names."""

    def condition(value: Any, used: frozenset[str]) -> Any:
        return bound("cases", "opened" if "date_field=opened" in used else "decided")(value, used)

    return condition


class CaseFilter(DatedFilter):
    """Filters of cases; `from` and `to` are about when a case was decided, or with `date_field=opened` opened."""

    kind: Annotated[Texts, Where(lambda v: C.c.kind == any_(v), TEXTS), Field(description="Any of these kinds.")] = []
    stage: Annotated[
        Texts,
        Where(lambda v: C.c.stage == any_(v), TEXTS, absent=lambda: C.c.stage.is_(None)),
        Field(description="Any of these stages."),
    ] = []
    result: Annotated[
        Texts, of_kind(C.c.result, "case_result"), Field(description="Any of these results, or a narrower one.")
    ] = []
    court: Annotated[
        Keys,
        Where(
            lambda v: below(C.c.court_id, "organisations", v),
            TEXTS,
            exact=lambda v: refers(C.c.court_id, "organisations", v),
            absent=lambda: C.c.court_id.is_(None),
        ),
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
            absent=lambda: without("case_judges", rows("case_judges").c.case_id == C.c.id),
        ),
        Field(description="Before any of these judges (id)."),
    ] = []
    statute: Annotated[
        Keys,
        of_statutes("statute", "charges", lambda h: h.c.case_id == C.c.id),
        Field(description="With a charge under any of these statutes (id or key) or what rolls up to them."),
    ] = []
    article: Annotated[
        Keys,
        of_statutes("article", "charges", lambda h: h.c.case_id == C.c.id),
        Field(description="With a charge under any of these articles (BY-CC-342) or parts of them."),
    ] = []
    code: Annotated[
        Keys,
        of_statutes("code", "charges", lambda h: h.c.case_id == C.c.id),
        Field(description="With a charge under any of these codes of law (BY-CC)."),
    ] = []
    person: Annotated[
        Keys,
        Where(lambda v: _names(C.c.id, lambda column: refers(column, "persons", v)), TEXTS),
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
        Where(
            lambda v: exists("sentences", S.c.case_id == C.c.id, S.c.outcome == any_(v)),
            TEXTS,
            absent=lambda: without("sentences", S.c.case_id == C.c.id),
        ),
        Field(description="With a sentence of any of these outcomes."),
    ] = []
    context: Annotated[
        Texts,
        Where(lambda v: holds(C.c.contexts, v), TEXTS),
        Field(description="In any of these contexts."),
    ] = []
    origin: Annotated[
        Keys, Where(lambda v: C.c.origin == any_(v), TEXTS), Field(description="Recorded by any of these origins.")
    ] = []
    date_field: Annotated[
        Literal["decided", "opened"], Field(description="Which date of the case from and to are about.")
    ] = "decided"
    start: Annotated[
        Day | None,
        Where(when(starts), Date(), sees_used=True),
        Field(alias="from", description="Decided, or opened, on or after."),
    ] = None
    end: Annotated[
        Day | None,
        Where(when(ends), Date(), sees_used=True),
        Field(alias="to", description="Decided, or opened, before."),
    ] = None
    source: Annotated[Keys, cited("case_id", "cases"), Field(description="Cites any of these sources.")] = []


class CaseQuery(CaseFilter, ListQuery):
    """Everything that the list of cases takes."""
