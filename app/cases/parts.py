"""How charges and sentences are found by themselves: their own filters, and those of the case they belong to."""

from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Date, and_, any_, bindparam, func, or_, select, true

from app.cases.models import Tristate
from app.cases.queries import C, H, K, S, when
from app.core.filters import (
    NOT_STATED,
    OF_STATUTE,
    TEXTS,
    DatedFilter,
    Day,
    Keys,
    Texts,
    Where,
    below,
    ends,
    exists,
    holds,
    in_group,
    of_statutes,
    refers,
    rows,
    starts,
    statute_conditions,
    without,
)
from app.core.pages import ListQuery
from app.core.text import Unit

J = rows("case_judges")
Q = rows("citations")
PERSON = rows("persons")


def _of_case(part: Any, condition: Any, *, sees_used: bool = False, absent: Any = None, exact: Any = None) -> Where:
    """Return a filter of charges or sentences by something that their case has to meet."""

    def lifted(found: Any) -> Any:
        return part.c.case_id.in_(select(C.c.id).where(found))

    if sees_used:
        return Where(lambda v, used: lifted(condition(v, used)), Date(), sees_used=True)
    return Where(
        lambda v: lifted(condition(v)),
        TEXTS,
        absent=(lambda: lifted(absent())) if absent else None,
        exact=(lambda v: lifted(exact(v))) if exact else None,
    )


def _of_person(part: Any, column: str) -> Where:
    """Return a filter of charges or sentences by the sex or the groups of their person."""

    def condition(v: Any) -> Any:
        found = PERSON.c.sex == any_(v) if column == "sex" else in_group(PERSON.c.groups, v)
        return exists("persons", PERSON.c.id == part.c.person_id, found)

    def exact(v: Any) -> Any:
        return exists("persons", PERSON.c.id == part.c.person_id, holds(PERSON.c.groups, v))

    def absent() -> Any:
        told = PERSON.c.sex.is_not(None) if column == "sex" else func.cardinality(PERSON.c.groups) > 0
        return ~exists("persons", PERSON.c.id == part.c.person_id, told)

    return Where(condition, TEXTS, absent=absent, exact=exact if column == "groups" else None)


def _judged(v: Any) -> Any:
    return exists("case_judges", J.c.case_id == C.c.id, refers(J.c.person_id, "persons", v))


def _not_judged() -> Any:
    return without("case_judges", J.c.case_id == C.c.id)


def _cites(v: Any) -> Any:
    return exists("citations", Q.c.case_id == C.c.id, refers(Q.c.source_id, "sources", v))


def _cites_nothing() -> Any:
    return without("citations", Q.c.case_id == C.c.id)


def _charged(own: str) -> Where:
    """Return the filter of a charge's own statute; the first in use stands for all of them."""

    def condition(_value: Any, used: frozenset[str]) -> Any:
        first = own == min(n for n in OF_STATUTE if n in used)
        return and_(true(), *statute_conditions(used, H.c.statute_id)) if first else true()

    return Where(condition, TEXTS, sees_used=True, exact=(lambda _v: true()) if own == "statute" else None)


def _charged_at(bound: Any) -> Any:
    """Condition on the date that `date_field` names: the charge's own, or one of its case."""

    def condition(value: Any, used: frozenset[str]) -> Any:
        if "date_field=date" in used:
            return bound("charges", "date")(value, used)
        return H.c.case_id.in_(select(C.c.id).where(when(bound)(value, used)))

    return condition


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
        _charged("statute"),
        Field(description="Under any of these statutes (id or key) or what rolls up to them."),
    ] = []
    article: Annotated[
        Keys, _charged("article"), Field(description="Under any of these articles (BY-CC-342) or parts of them.")
    ] = []
    code: Annotated[Keys, _charged("code"), Field(description="Under any of these codes of law (BY-CC).")] = []
    status: Annotated[Texts, Where(lambda v: H.c.status == any_(v), TEXTS), Field(description="Any of these.")] = []
    reason: Annotated[Texts, Where(lambda v: H.c.reason == any_(v), TEXTS), Field(description="Any of these.")] = []
    kind: Annotated[
        Texts, _of_case(H, lambda v: C.c.kind == any_(v)), Field(description="In a case of any of these kinds.")
    ] = []
    case_stage: Annotated[
        Texts,
        _of_case(H, lambda v: C.c.stage == any_(v), absent=lambda: C.c.stage.is_(None)),
        Field(description="In a case at any of these stages."),
    ] = []
    in_absentia: Annotated[
        list[Tristate],
        _of_case(H, lambda v: C.c.in_absentia == any_(v)),
        Field(description="In a case in absentia: yes, no or unknown."),
    ] = []
    court: Annotated[
        Keys,
        _of_case(
            H,
            lambda v: below(C.c.court_id, "organisations", v),
            exact=lambda v: refers(C.c.court_id, "organisations", v),
            absent=lambda: C.c.court_id.is_(None),
        ),
        Field(description="Before any of these courts (id)."),
    ] = []
    judge: Annotated[
        Keys,
        _of_case(H, _judged, absent=_not_judged),
        Field(description="Before any of these judges (id)."),
    ] = []
    sex: Annotated[Texts, _of_person(H, "sex"), Field(description="Of a person of this sex.")] = []
    group: Annotated[Texts, _of_person(H, "groups"), Field(description="Of a person of any of these groups.")] = []
    context: Annotated[
        Texts, _of_case(H, lambda v: holds(C.c.contexts, v)), Field(description="In a case in these contexts.")
    ] = []
    origin: Annotated[
        Keys, _of_case(H, lambda v: C.c.origin == any_(v)), Field(description="Recorded by these origins.")
    ] = []
    source: Annotated[
        Keys,
        _of_case(H, _cites, absent=_cites_nothing),
        Field(description="In a case that cites any of these sources."),
    ] = []
    date_field: Annotated[
        Literal["date", "decided", "opened"],
        Field(description="from and to are about the charge's own date, or when its case was decided or opened."),
    ] = "date"
    start: Annotated[
        Day | None,
        Where(_charged_at(starts), Date(), sees_used=True),
        Field(alias="from", description="Dated on or after."),
    ] = None
    end: Annotated[
        Day | None,
        Where(_charged_at(ends), Date(), sees_used=True),
        Field(alias="to", description="Dated before."),
    ] = None


class ChargeQuery(ChargeFilter, ListQuery):
    """Everything that the list of charges takes."""


def _sentenced(own: str) -> Where:
    """Return the filter of the statutes that the person, or the unnamed group, of a sentence is charged under."""

    def owner(h: Any) -> Any:
        return and_(h.c.case_id == S.c.case_id, h.c.person_id.is_not_distinct_from(S.c.person_id))

    return of_statutes(own, "charges", owner)


def _in_unit(own: str, *columns: str) -> Any:
    """Condition of the filter `own` that a component, of the kinds asked for, has an amount in a unit."""

    def condition(value: Any, used: frozenset[str]) -> Any:
        kinds = [K.c.kind == any_(bindparam("sentence", type_=TEXTS))] if "sentence" in used else []
        found = [K.c[c] == any_(value) for c in columns]
        if f"{own}={NOT_STATED}" in used:
            found.append(K.c.unit.is_(None))
        return exists("sentence_components", K.c.sentence_id == S.c.id, or_(*found), *kinds)

    return condition


class SentenceFilter(DatedFilter):
    """Filters of sentences; `from` and `to` are about when their case was decided."""

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
        Where(
            lambda v: exists("sentence_components", K.c.sentence_id == S.c.id, K.c.kind == any_(v)),
            TEXTS,
            absent=lambda: without("sentence_components", K.c.sentence_id == S.c.id),
        ),
        Field(description="With a component of any of these kinds."),
    ] = []
    unit: Annotated[
        list[Unit],
        Where(_in_unit("unit", "unit", "converted_unit"), TEXTS, sees_used=True),
        Field(description="With an amount in any of these units, as fined or as the source converts it."),
    ] = []
    fined_in: Annotated[
        list[Unit],
        Where(_in_unit("fined_in", "unit"), TEXTS, sees_used=True),
        Field(description="With an amount fined in any of these units."),
    ] = []
    statute: Annotated[
        Keys,
        _sentenced("statute"),
        Field(description="Charged in the case under these statutes or what rolls up to them."),
    ] = []
    article: Annotated[
        Keys, _sentenced("article"), Field(description="Charged in the case under these articles or parts of them.")
    ] = []
    code: Annotated[Keys, _sentenced("code"), Field(description="Charged in the case under these codes of law.")] = []
    kind: Annotated[
        Texts, _of_case(S, lambda v: C.c.kind == any_(v)), Field(description="In a case of any of these kinds.")
    ] = []
    case_stage: Annotated[
        Texts,
        _of_case(S, lambda v: C.c.stage == any_(v), absent=lambda: C.c.stage.is_(None)),
        Field(description="In a case at any of these stages."),
    ] = []
    in_absentia: Annotated[
        list[Tristate],
        _of_case(S, lambda v: C.c.in_absentia == any_(v)),
        Field(description="In a case in absentia: yes, no or unknown."),
    ] = []
    court: Annotated[
        Keys,
        _of_case(
            S,
            lambda v: below(C.c.court_id, "organisations", v),
            exact=lambda v: refers(C.c.court_id, "organisations", v),
            absent=lambda: C.c.court_id.is_(None),
        ),
        Field(description="Before any of these courts (id)."),
    ] = []
    judge: Annotated[
        Keys,
        _of_case(S, _judged, absent=_not_judged),
        Field(description="Before any of these judges (id)."),
    ] = []
    sex: Annotated[Texts, _of_person(S, "sex"), Field(description="Of a person of this sex.")] = []
    group: Annotated[Texts, _of_person(S, "groups"), Field(description="Of a person of any of these groups.")] = []
    context: Annotated[
        Texts, _of_case(S, lambda v: holds(C.c.contexts, v)), Field(description="In a case in these contexts.")
    ] = []
    origin: Annotated[
        Keys, _of_case(S, lambda v: C.c.origin == any_(v)), Field(description="Recorded by these origins.")
    ] = []
    source: Annotated[
        Keys,
        _of_case(S, _cites, absent=_cites_nothing),
        Field(description="In a case that cites any of these sources."),
    ] = []
    start: Annotated[
        Day | None,
        _of_case(S, starts("cases", "decided"), sees_used=True),
        Field(alias="from", description="Decided on or after."),
    ] = None
    end: Annotated[
        Day | None,
        _of_case(S, ends("cases", "decided"), sees_used=True),
        Field(alias="to", description="Decided before."),
    ] = None


class SentenceQuery(SentenceFilter, ListQuery):
    """Everything that the list of sentences takes."""
