"""Facts: for each measure, the rows that are counted: what they are, what they weigh, and when they are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import (
    UUID,
    ColumnElement,
    FromClause,
    Text,
    and_,
    any_,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    or_,
    select,
    table,
)

from app.cases.queries import C, H, S
from app.core.filters import TEXTS, rows, with_narrower
from app.events.queries import E, participant_conditions, with_participants
from app.statuses import queries as statuses

SQL = ColumnElement[Any]

T = statuses.S

ONE: SQL = literal_column("1")
NAMED: SQL = literal_column("true")


@dataclass
class Fact:
    """The rows that a measure counts, while a statement over them is put together.

    `entity` are the columns that tell counted things apart: each counts once in a cell, with its greatest `weight`.
    `named` is false for people whom nobody named. `unknown` is how many of unknown size a row stands for. `distinct`
    says whether one entity can have several rows even without a dimension that holds several values, and `single` of
    which rows it cannot. `several` are the conditions under which the dimensions gave it more than one.
    """

    used: frozenset[str]
    rows: FromClause
    entity: tuple[SQL, ...]
    lo: SQL | None
    hi: SQL | None
    weight: SQL = ONE
    named: SQL = NAMED
    unknown: SQL | None = None
    distinct: bool = False
    single: SQL | None = None
    several: list[SQL] = field(default_factory=list)
    where: list[SQL] = field(default_factory=list)
    joined: dict[str, Any] = field(default_factory=dict)

    def join(self, name: str, other: FromClause, on: SQL, *, many: str | None = None) -> FromClause:
        """Join a table that a dimension needs, once however many dimensions need it.

        `many` is a column of it that is never null, where more than one of its rows can be joined to one.
        """
        if name not in self.joined:
            self.rows = self.rows.outerjoin(other, on)
            self.joined[name] = other
            if many is not None:
                self.several.append(other.c[many].is_not(None))
        found: FromClause = self.joined[name]
        return found

    def given(self, name: str) -> SQL:
        """Return the bind parameter of a filter in use."""
        return bindparam(name, type_=TEXTS)


# --- people whom nobody named ---------------------------------------------------------------------------


@cache
def _families() -> FromClause:
    """Return (id, root) of the counted groups that lie within another: all of one root may be the same people.

    A group that cannot be seen ends the way up exactly as one that does not exist, so nothing hidden shows.
    """
    group, above = rows("participants").alias(), rows("participants").alias()
    way = select(group.c.id, group.c.within.label("up")).where(group.c.within.is_not(None)).cte("ways", recursive=True)
    way = way.union(
        select(way.c.id, above.c.within).join(above, above.c.id == way.c.up).where(above.c.within.is_not(None))
    )
    further = rows("participants").alias()
    ends = ~select(1).select_from(further).where(further.c.id == way.c.up, further.c.within.is_not(None)).exists()
    text = cast(way.c.up, Text)
    # A circle has no end; all its members reach the same ids, so the least of these is their common root.
    root = func.coalesce(func.min(case((ends, text))), func.min(text))
    return select(way.c.id, root.label("root")).group_by(way.c.id).cte("families")


def _participants(used: frozenset[str], roles: tuple[str, ...], *, organisations: bool) -> Fact:
    """Return the participants of events in these roles, or in those asked for: named ones, and counted groups."""
    part, person, on = with_participants(used, organisations=organisations)
    if "role" not in used:
        on = and_(on, part.c.role.in_([literal_column(f"'{r}'") for r in roles]))
    family = _families()
    people = E.join(part, on).outerjoin(person, person.c.id == part.c.person_id)
    people = people.outerjoin(family, family.c.id == part.c.id)
    group = func.coalesce(cast(family.c.root, UUID), part.c.id)
    who = func.coalesce(part.c.person_id, part.c.organisation_id) if organisations else part.c.person_id
    return Fact(
        used,
        people,
        entity=(func.coalesce(who, group),),
        lo=E.c.date_earliest,
        hi=E.c.date_latest,
        weight=case((who.is_(None), func.coalesce(part.c["count"], 1)), else_=ONE),
        named=who.is_not(None),
        distinct=True,
        where=participant_conditions(used, part, person),
        joined={"participant": part, "person": person},
    )


# --- the facts --------------------------------------------------------------------------------------------


def events(used: frozenset[str]) -> Fact:
    """Return events, each counting once."""
    return Fact(used, E, (E.c.id,), E.c.date_earliest, E.c.date_latest)


def incidents(used: frozenset[str]) -> Fact:
    """Return events by their incident; an event of none is one of its own."""
    fact = events(used)
    fact.entity, fact.distinct = (func.coalesce(E.c.incident, E.c.id),), True
    fact.single = E.c.incident.is_(None)
    return fact


def persons(used: frozenset[str]) -> Fact:
    """Return the people that events happened to."""
    return _participants(used, ("victim",), organisations=False)


def list_entries(used: frozenset[str]) -> Fact:
    """Return what events of listing put on a list: each person, organisation or counted group in each event."""
    fact = _participants(used, ("listed",), organisations=True)
    part = fact.joined["participant"]
    who = func.coalesce(part.c.person_id, part.c.organisation_id)
    fact.entity = (case((who.is_not(None), part.c.id), else_=fact.entity[0]),)
    if "type" not in used:
        listing = cast(literal_column("'{listing}'"), TEXTS)
        fact.where.append(E.c.type == any_(with_narrower("event_type", listing)))
    return fact


def cases(used: frozenset[str]) -> Fact:
    """Return cases; one record may stand for many proceedings."""
    when = "opened" if "date_field=opened" in used else "decided"
    lo, hi = C.c[f"{when}_earliest"], C.c[f"{when}_latest"]
    return Fact(used, C, (C.c.id,), lo, hi, weight=func.coalesce(C.c["count"], 1))


def _person_or_group(part: Any) -> tuple[SQL, ...]:
    """Return what tells people apart: their record, or for those nobody named the case and what it calls them."""
    label = case((part.c.person_id.is_(None), func.coalesce(part.c.label, "")))
    return func.coalesce(part.c.person_id, part.c.case_id), label


def _charge_weight() -> SQL:
    return case((H.c.some_only, 1), else_=func.coalesce(H.c["count"], 1))


def charges(used: frozenset[str]) -> Fact:
    """Return charges, by their own date or one of their case; a group counts by its people and its counts."""
    lo, hi = H.c.date_earliest, H.c.date_latest
    weight = _charge_weight() * func.coalesce(H.c.counts, 1)
    fact = Fact(used, H, (H.c.id,), lo, hi, weight=weight)
    if "date_field=date" not in used:
        when = "opened" if "date_field=opened" in used else "decided"
        found = fact.join("case", (c := C.alias()), c.c.id == H.c.case_id)
        fact.lo, fact.hi = found.c[f"{when}_earliest"], found.c[f"{when}_latest"]
    return fact


def persons_charged(used: frozenset[str]) -> Fact:
    """Return people by their charges; groups of one case under one label are the same people."""
    fact = charges(used)
    fact.entity = _person_or_group(H)
    fact.weight = case((H.c.person_id.is_(None), _charge_weight()), else_=ONE)
    fact.named, fact.distinct = H.c.person_id.is_not(None), True
    return fact


def _sentences(used: frozenset[str], *, components: str = "outer") -> Fact:
    case_, part = C.alias(), rows("sentence_components").alias()
    on = part.c.sentence_id == S.c.id
    fact = Fact(
        used,
        S.join(case_, case_.c.id == S.c.case_id),
        entity=(S.c.id,),
        lo=case_.c.decided_earliest,
        hi=case_.c.decided_latest,
        weight=func.coalesce(S.c["count"], 1),
        joined={"case": case_},
    )
    if components != "none":
        fact.rows = fact.rows.join(part, on, isouter=components == "outer")
        fact.joined["component"] = part
        fact.entity = (S.c.id, part.c.id)
        if "sentence" in used:
            kind = part.c.kind == any_(fact.given("sentence"))
            fact.where.append(or_(kind, part.c.id.is_(None)) if "sentence=not_stated" in used else kind)
    return fact


def sentences(used: frozenset[str]) -> Fact:
    """Return components of sentences; a sentence of which no component is known counts as one."""
    return _sentences(used)


def persons_convicted(used: frozenset[str]) -> Fact:
    """Return people by their sentences with the outcome convicted."""
    fact = _sentences(used, components="none")
    fact.entity = _person_or_group(S)
    fact.weight = case((S.c.person_id.is_(None), func.coalesce(S.c["count"], 1)), else_=ONE)
    fact.named, fact.distinct = S.c.person_id.is_not(None), True
    fact.where.append(S.c.outcome == literal_column("'convicted'"))
    return fact


def _days(*kinds: str) -> Callable[[frozenset[str]], Fact]:
    def fact_of(used: frozenset[str]) -> Fact:
        fact = _sentences(used, components="inner")
        part = fact.joined["component"]
        fact.weight = func.coalesce(part.c.normal_days, 0)
        fact.unknown = case((part.c.normal_days.is_(None), func.coalesce(S.c["count"], 1)), else_=0)
        fact.where.append(part.c.kind.in_([literal_column(f"'{k}'") for k in kinds]))
        return fact

    return fact_of


arrest_days = _days("administrative_arrest")
imprisonment_days = _days("imprisonment", "life_imprisonment")


def _rate(unit: SQL, case_id: SQL, day: SQL) -> SQL:
    """Return what one unit was worth on a day in the currency asked for; null where no rate held, or several did.

    A rate holds from `valid_from` until the next of its unit, currency and jurisdiction. The jurisdiction is that of
    the statutes charged in the case; where the case names none, there must be only one to choose from.
    """

    def rates() -> Any:
        names = ("unit", "currency", "jurisdiction", "valid_from", "amount")
        return table("rates", *(column(n) for n in names)).alias()

    rate, other = rates(), rates()
    charge, statute = H.alias(), rows("statutes").alias()
    charged = select(statute.c.jurisdiction).join(charge, charge.c.statute_id == statute.c.id)
    charged = charged.where(charge.c.case_id == case_id)
    currency = bindparam("currency", type_=Text())
    several = select(func.count(other.c.jurisdiction.distinct())).where(
        other.c.unit == unit, other.c.currency == currency
    )
    theirs = rate.c.jurisdiction.in_(charged)
    alone = and_(~charged.exists(), several.scalar_subquery() == 1)
    found = select(rate.c.amount).where(
        rate.c.unit == unit, rate.c.currency == currency, rate.c.valid_from <= day, or_(theirs, alone)
    )
    return found.order_by(rate.c.valid_from.desc()).limit(1).scalar_subquery()


def fines(used: frozenset[str]) -> Fact:
    """Return fines: in one unit, as fined or as the source converts it; in a currency by the rates; or as they are."""
    fact = _sentences(used, components="inner")
    part = fact.joined["component"]
    fact.where.append(part.c.kind == literal_column("'fine'"))
    amount = part.c.amount
    if "unit" in used:
        unit = bindparam("unit", type_=Text())
        amount = case((part.c.unit == unit, part.c.amount), (part.c.converted_unit == unit, part.c.converted_amount))
        fact.where.append(or_(part.c.unit == unit, part.c.converted_unit == unit, part.c.amount.is_(None)))
    elif "currency" in used:
        currency = bindparam("currency", type_=Text())
        day = func.coalesce(fact.lo, fact.hi)
        converted = part.c.amount * _rate(part.c.unit, S.c.case_id, day)
        printed = case((part.c.converted_unit == currency, part.c.converted_amount))
        amount = case((part.c.unit == currency, part.c.amount), else_=func.coalesce(converted, printed))
    fact.weight = func.coalesce(amount, 0)
    fact.unknown = case((amount.is_(None), func.coalesce(S.c["count"], 1)), else_=0)
    return fact


def _in_status(subject: str) -> Callable[[frozenset[str]], Fact]:
    def fact_of(used: frozenset[str]) -> Fact:
        who = T.c[subject]
        return Fact(used, T, (who,), None, None, distinct=True, where=[who.is_not(None)])

    return fact_of


persons_in_status = _in_status("person_id")
organisations_in_status = _in_status("organisation_id")
