"""Dimensions: what counts can be grouped by, and which filter of a list asks for one of their values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Text, and_, any_, cast, func, or_, select, true

from app.cases.queries import C, H, S
from app.core.ages import age_band
from app.core.filters import NOT_STATED, refers, region_tree, rows, statute_conditions, with_narrower
from app.events.queries import E, participant_conditions, with_participants
from app.statistics.facts import Fact, T

SQL = ColumnElement[Any]

TIMES = ("day", "week", "month", "quarter", "year")

TITLES: dict[str, dict[str, str]] = {
    "day": {"en": "day", "be": "дзень", "ru": "день"},
    "week": {"en": "week", "be": "тыдзень", "ru": "неделя"},
    "month": {"en": "month", "be": "месяц", "ru": "месяц"},
    "quarter": {"en": "quarter", "be": "квартал", "ru": "квартал"},
    "year": {"en": "year", "be": "год", "ru": "год"},
    "region": {"en": "region", "be": "рэгіён", "ru": "регион"},
    "place": {"en": "place", "be": "месца", "ru": "место"},
    "facility": {"en": "facility", "be": "установа", "ru": "учреждение"},
    "court": {"en": "court", "be": "суд", "ru": "суд"},
    "judge": {"en": "judge", "be": "суддзя", "ru": "судья"},
    "organisation": {"en": "organisation", "be": "арганізацыя", "ru": "организация"},
    "statute": {"en": "statute", "be": "норма закона", "ru": "норма закона"},
    "article": {"en": "article", "be": "артыкул", "ru": "статья"},
    "code": {"en": "code of law", "be": "кодэкс", "ru": "кодекс"},
    "type": {"en": "type", "be": "від", "ru": "вид"},
    "role": {"en": "role", "be": "роля", "ru": "роль"},
    "sex": {"en": "sex", "be": "пол", "ru": "пол"},
    "group": {"en": "group", "be": "група", "ru": "группа"},
    "age_band": {"en": "age", "be": "узрост", "ru": "возраст"},
    "outcome": {"en": "outcome", "be": "вынік", "ru": "исход"},
    "stage": {"en": "stage", "be": "стадыя", "ru": "стадия"},
    "sentence": {"en": "sentence", "be": "пакаранне", "ru": "наказание"},
    "status": {"en": "status", "be": "статус", "ru": "статус"},
    "source": {"en": "source", "be": "крыніца", "ru": "источник"},
    "origin": {"en": "recorded by", "be": "запісана", "ru": "записано"},
    "unit": {"en": "unit", "be": "адзінка", "ru": "единица"},
}
"""Dimension → what it is called."""


@dataclass(frozen=True)
class Dimension:
    """One way to group a measure.

    `value` joins what it needs and returns the value, null for not stated; `filter` is the parameter by which the list
    asks for a value, `exact` where the list must take it literally; `many` where one counted thing can have several
    values; `table` or `vocabulary` say where the labels of its values are. `roll` joins to rows already added up what
    they roll up to; `shown` makes of a value in a cell the one that is answered, by itself its text.
    """

    value: Callable[[Fact], SQL]
    filter: str
    exact: bool = False
    many: bool = False
    table: str | None = None
    vocabulary: str | None = None
    roll: Callable[[Any, SQL], tuple[Any, SQL]] | None = None
    shown: Callable[[SQL], SQL] | None = None


def _code_of_place(place: SQL) -> SQL:
    """Return the code of a place, or its id where it has none."""
    row = rows("places").alias()
    return select(func.coalesce(row.c.code, cast(row.c.id, Text))).where(row.c.id == place).scalar_subquery()


# --- pieces that several facts share ----------------------------------------------------------------------


def _person(fact: Fact) -> Any:
    """Return the person that the dimensions sex, group and age are of."""
    if "person" in fact.joined:
        return fact.joined["person"]
    person = rows("persons").alias()
    if fact.rows is E or "event" in fact.joined:
        _event_people(fact)
        return fact.joined["person"]
    owner = next(t for t in (H, S, T) if _holds(fact.rows, t))
    return fact.join("person", person, person.c.id == owner.c.person_id)


def _holds(joined: Any, table: Any) -> bool:
    return table in joined._from_objects  # noqa: SLF001 -- SQLAlchemy has no public name for it


def _event_people(fact: Fact) -> None:
    """Join the participants of events in the roles asked for, as the filters of persons see them."""
    if "participant" in fact.joined:
        return
    part, person, on = with_participants(fact.used)
    fact.join("participant", part, on, many="id")
    fact.join("person", person, person.c.id == part.c.person_id)
    fact.where += participant_conditions(fact.used, part, person)


def _of_people(value: Callable[[Any], SQL]) -> Callable[[Fact], SQL]:
    def of(fact: Fact) -> SQL:
        if _holds(fact.rows, E):
            _event_people(fact)
        return value(_person(fact))

    return of


def _sex(fact: Fact) -> SQL:
    return _of_people(lambda p: p.c.sex)(fact)


def _group(fact: Fact) -> SQL:
    if _holds(fact.rows, E):
        _event_people(fact)
    person = _person(fact)
    one = func.unnest(person.c.groups).table_valued("code", name="one_group").render_derived()
    fact.join("group", one, true(), many="code")
    if "group" in fact.used:
        asked = fact.given("group")
        codes = asked if "exact=group" in fact.used else with_narrower("person_group", asked)
        asked = one.c.code == any_(codes)
        fact.where.append(or_(asked, one.c.code.is_(None)) if f"group={NOT_STATED}" in fact.used else asked)
    found: SQL = one.c.code
    return found


def _age(fact: Fact) -> SQL:
    return _of_people(lambda p: age_band(p.c, func.coalesce(fact.lo, fact.hi)))(fact)


def _role(fact: Fact) -> SQL:
    if "participant" in fact.joined:
        found: SQL = fact.joined["participant"].c.role
        return found
    part = rows("participants").alias()
    on = part.c.event_id == E.c.id
    if "role" in fact.used:
        on = and_(on, part.c.role == any_(fact.given("role")))
    fact.join("any_participant", part, on, many="id")
    return fact.joined["any_participant"].c.role  # type: ignore[no-any-return]


def _organisation(fact: Fact) -> SQL:
    part = rows("participants").alias()
    on = and_(part.c.event_id == E.c.id, part.c.organisation_id.is_not(None))
    if "organisation" in fact.used:
        on = and_(on, refers(part.c.organisation_id, "organisations", fact.given("organisation")))
    fact.join("organisation", part, on, many="id")
    found: SQL = fact.joined["organisation"].c.organisation_id
    return found


def _to_region(source: Any, place: SQL) -> tuple[Any, SQL]:
    tree = region_tree()
    return source.outerjoin(tree, tree.c.id == place), tree.c.region


def _region(place: Callable[[Fact], SQL], *, many: bool = False) -> Dimension:
    return Dimension(place, "region", many=many, table="places", roll=_to_region, shown=_code_of_place)


def _facility_place(fact: Fact) -> SQL:
    house = rows("organisations").alias()
    found = fact.join("facility", house, house.c.id == T.c.facility_id)
    return found.c.place_id


def _case(fact: Fact) -> Any:
    if fact.rows is C or _holds(fact.rows, C):
        return C
    owner = next(t for t in (H, S) if _holds(fact.rows, t))
    case = C.alias()
    return fact.join("case", case, case.c.id == owner.c.case_id)


def _court(fact: Fact) -> SQL:
    return _case(fact).c.court_id  # type: ignore[no-any-return]


def _judge(fact: Fact) -> SQL:
    judge = rows("case_judges").alias()
    on = judge.c.case_id == _case(fact).c.id
    if "judge" in fact.used and f"judge={NOT_STATED}" not in fact.used:
        on = and_(on, refers(judge.c.person_id, "persons", fact.given("judge")))
    fact.join("judge", judge, on, many="id")
    return fact.joined["judge"].c.person_id  # type: ignore[no-any-return]


def _stage(fact: Fact) -> SQL:
    return _case(fact).c.stage  # type: ignore[no-any-return]


def _kind(fact: Fact) -> SQL:
    return _case(fact).c.kind  # type: ignore[no-any-return]


def _case_origin(fact: Fact) -> SQL:
    return _case(fact).c.origin  # type: ignore[no-any-return]


def _outcome(fact: Fact) -> SQL:
    if _holds(fact.rows, S):
        return S.c.outcome
    sentence = S.alias()
    on = sentence.c.case_id == C.c.id
    if "outcome" in fact.used and f"outcome={NOT_STATED}" not in fact.used:
        on = and_(on, sentence.c.outcome == any_(fact.given("outcome")))
    fact.join("outcome", sentence, on, many="id")
    return fact.joined["outcome"].c.outcome  # type: ignore[no-any-return]


def _statute(column: str) -> Callable[[Fact], SQL]:
    def value(fact: Fact) -> SQL:
        statute = rows("statutes").alias()
        if "statute" not in fact.joined:
            link = _statute_link(fact)
            fact.join("statute", statute, statute.c.id == link)
        return fact.joined["statute"].c[column]  # type: ignore[no-any-return]

    return value


def _statute_link(fact: Fact) -> SQL:
    """Join what refers to the statutes, only to those that the filters ask for, and return the reference."""
    if _holds(fact.rows, H):
        return H.c.statute_id
    if _holds(fact.rows, E):
        link = rows("event_statutes").alias()
        on: SQL = link.c.event_id == E.c.id
    else:
        link = H.alias()
        on = link.c.case_id == _case(fact).c.id
        if _holds(fact.rows, S):
            on = and_(on, link.c.person_id.is_not_distinct_from(S.c.person_id))
    fact.join("statute_link", link, on, many="id")
    fact.where += statute_conditions(fact.used, fact.joined["statute_link"].c.statute_id)
    return fact.joined["statute_link"].c.statute_id  # type: ignore[no-any-return]


def _source(owner: str, of: Callable[[Fact], SQL]) -> Callable[[Fact], SQL]:
    def value(fact: Fact) -> SQL:
        citation = rows("citations").alias()
        on = citation.c[owner] == of(fact)
        if "source" in fact.used and f"source={NOT_STATED}" not in fact.used:
            on = and_(on, refers(citation.c.source_id, "sources", fact.given("source")))
        fact.join("citation", citation, on, many="id")
        return fact.joined["citation"].c.source_id  # type: ignore[no-any-return]

    return value


# --- which dimensions each fact has ----------------------------------------------------------------------

_STATUTES = {
    "statute": Dimension(_statute("key"), "statute", exact=True, many=True, table="statutes"),
    "article": Dimension(_statute("article_key"), "article", many=True),
    "code": Dimension(_statute("code_key"), "code", many=True),
}
_PEOPLE = {
    "sex": Dimension(_sex, "sex", many=True, vocabulary="sex"),
    "group": Dimension(_group, "group", exact=True, many=True, vocabulary="person_group"),
}
_SEX_OF_ONE = {"sex": Dimension(_sex, "sex", vocabulary="sex")}

OF_EVENTS: dict[str, Dimension] = {
    "region": _region(lambda _f: E.c.place_id),
    "place": Dimension(lambda _f: E.c.place_id, "place", exact=True, table="places", shown=_code_of_place),
    "facility": Dimension(lambda _f: E.c.facility_id, "facility", exact=True, table="organisations"),
    "organisation": Dimension(_organisation, "organisation", many=True, table="organisations"),
    **_STATUTES,
    "type": Dimension(lambda _f: E.c.type, "type", exact=True, vocabulary="event_type"),
    "role": Dimension(_role, "role", many=True, vocabulary="participant_role"),
    **_PEOPLE,
    "age_band": Dimension(_age, "age_band", many=True),
    "source": Dimension(_source("event_id", lambda _f: E.c.id), "source", many=True, table="sources"),
    "origin": Dimension(lambda _f: E.c.origin, "origin"),
}

_OF_CASES: dict[str, Dimension] = {
    "court": Dimension(_court, "court", exact=True, table="organisations"),
    "judge": Dimension(_judge, "judge", many=True, table="persons"),
    **_STATUTES,
    "type": Dimension(_kind, "kind", vocabulary="case_kind"),
    "source": Dimension(_source("case_id", lambda f: _case(f).c.id), "source", many=True, table="sources"),
    "origin": Dimension(_case_origin, "origin"),
}
OF_CASES = {
    **_OF_CASES,
    "stage": Dimension(_stage, "stage", vocabulary="case_stage"),
    "outcome": Dimension(_outcome, "outcome", many=True, vocabulary="sentence_outcome"),
}
_OF_PARTS = {
    **_OF_CASES,
    "stage": Dimension(_stage, "case_stage", vocabulary="case_stage"),
    **_SEX_OF_ONE,
    "group": _PEOPLE["group"],
}
OF_CHARGES = {
    **_OF_PARTS,
    "statute": Dimension(_statute("key"), "statute", exact=True, table="statutes"),
    "article": Dimension(_statute("article_key"), "article"),
    "code": Dimension(_statute("code_key"), "code"),
    "status": Dimension(lambda _f: H.c.status, "status", vocabulary="charge_status"),
}
OF_CONVICTED = {**_OF_PARTS, "outcome": Dimension(_outcome, "outcome", vocabulary="sentence_outcome")}
OF_SENTENCES = {
    **OF_CONVICTED,
    "sentence": Dimension(lambda f: f.joined["component"].c.kind, "sentence", vocabulary="sentence_kind"),
}
OF_FINES = {**OF_SENTENCES, "unit": Dimension(lambda f: f.joined["component"].c.unit, "fined_in", vocabulary="unit")}
OF_STATUSES: dict[str, Dimension] = {
    "region": _region(_facility_place, many=True),
    "facility": Dimension(lambda _f: T.c.facility_id, "facility", exact=True, many=True, table="organisations"),
    "status": Dimension(lambda _f: T.c.kind, "status", exact=True, many=True, vocabulary="status_kind"),
    **_SEX_OF_ONE,
    "group": _PEOPLE["group"],
    "source": Dimension(_source("status_id", lambda _f: T.c.id), "source", many=True, table="sources"),
    "origin": Dimension(lambda _f: T.c.origin, "origin", many=True),
}
OF_ORGANISATIONS = {n: d for n, d in OF_STATUSES.items() if n not in {"sex", "group", "region", "facility"}}
