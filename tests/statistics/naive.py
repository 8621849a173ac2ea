"""The statistics counted again, slowly and plainly, from the records as the lists answer them."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

Record = dict[str, Any]
NONE = "not_stated"
TIMES = ("day", "week", "month", "quarter", "year")
BANDS = ((18, "under_18"), (25, "18_24"), (35, "25_34"), (45, "35_44"), (55, "45_54"), (65, "55_64"), (200, "65_over"))


def period(grain: str, day: date) -> str:
    """Name the period of a day."""
    if grain == "week":
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02}"
    if grain == "quarter":
        return f"{day.year}-Q{(day.month - 1) // 3 + 1}"
    return str(day)[: {"day": 10, "month": 7, "year": 4}[grain]]


def bounds(found: Record | None) -> tuple[date | None, date | None]:
    """Return a date's bounds."""
    if found is None:
        return None, None
    return tuple(date.fromisoformat(found[b]) if found[b] else None for b in ("earliest", "latest"))  # type: ignore[return-value]


class Registry:
    """What a caller can see, by kind."""

    def __init__(self, records: dict[str, list[Record]]) -> None:
        """Keep the records, and find them by id."""
        self.records = records
        self.persons = {p["id"]: p for p in records["persons"]}
        self.places = {p["id"]: p for p in records["places"]}
        self.statutes = {s["id"]: s for s in records["statutes"]}
        self.organisations = {o["id"]: o for o in records["organisations"]}
        self.groups = {p["id"]: p for e in records["events"] for p in e["participants"]}

    # --- values of dimensions ------------------------------------------------------------------------

    def place(self, ref: Record | None) -> str:
        return str(ref["key"] or ref["id"]) if ref else NONE

    def region(self, ref: Record | None) -> str:
        if ref is None:
            return NONE
        way = [self.places[ref["id"]]]
        while way[-1]["parent"]:
            way.append(self.places[way[-1]["parent"]["id"]])
        found = [p for p in way if p["kind"] != "country"]
        return str(found[-1]["code"] or found[-1]["id"]) if found else NONE

    def statute(self, ref: Record | None, by: str) -> str:
        if ref is None:
            return NONE
        s = self.statutes[ref["id"]]
        article = f"{s['jurisdiction']}-{s['code']}-{s['article']}" if s["article"] else NONE
        return {"statute": str(s["key"]), "article": article, "code": f"{s['jurisdiction']}-{s['code']}"}[by]

    def person(self, ref: Record | None, by: str, day: date | None) -> list[str]:
        p = self.persons[ref["id"]] if ref else None
        if by == "group":
            return (p["groups"] if p else []) or [NONE]
        if by == "sex":
            return [(p and p["sex"]) or NONE]
        lo, hi = bounds(p["born"] if p else None)
        born = lo or hi
        if born is None or day is None:
            return [NONE]
        years = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
        return [next(name for end, name in BANDS if years < end)]

    def combined(self, items: list[Any], by: list[str], value: Any) -> list[dict[str, str]]:
        """Return the combinations of values that one of several items has; none at all is not stated."""
        if not by:
            return [{}]
        found = []
        for item in items or [None]:
            each = [value(item, b) for b in by]
            found += [dict(zip(by, combo, strict=True)) for combo in product(*each)]
        return found

    # --- rows ----------------------------------------------------------------------------------------

    def rows(self, measure: str, by: list[str], **options: Any) -> Iterator[Record]:
        """Yield what counts: entity, whether named, weight, unknown, bounds, and a value for each dimension."""
        source: Any = {
            "events": self.events,
            "incidents": self.events,
            "persons": self.people,
            "list_entries": self.people,
            "cases": self.cases,
            "charges": self.charges,
            "persons_charged": self.charges,
        }.get(measure, self.sentences)
        yield from source(measure, by, **options)

    def _event(self, e: Record, by: list[str]) -> list[dict[str, str]]:
        single: dict[str, Any] = {
            "region": lambda: self.region(e["place"]),
            "place": lambda: self.place(e["place"]),
            "facility": lambda: e["facility"]["id"] if e["facility"] else NONE,
            "type": lambda: e["type"],
            "origin": lambda: e["origin"],
        }
        one = {b: single[b]() for b in by if b in single}
        statutes = self.combined(
            e["statutes"], [b for b in by if b in ("statute", "article", "code")], lambda s, b: [self.statute(s, b)]
        )
        sources = self.combined(
            e["citations"], [b for b in by if b == "source"], lambda c, _b: [c["source"]["id"] if c else NONE]
        )
        houses = [p["organisation"] for p in e["participants"] if p["organisation"]]
        several = self.combined(houses, [b for b in by if b == "organisation"], lambda o, _b: [o["id"] if o else NONE])
        return [{**one, **a, **b, **c} for a, b, c in product(statutes, sources, several)]

    def _people(self, parts: list[Record], by: list[str], day: date | None) -> list[dict[str, str]]:
        people = [b for b in by if b in ("sex", "group", "age_band")]
        found = self.combined(
            [p for p in parts if not p["organisation"]], people, lambda p, b: self.person(p and p["person"], b, day)
        )
        roles = self.combined(parts, [b for b in by if b == "role"], lambda p, _b: [p["role"] if p else NONE])
        return [{**a, **b} for a, b in product(found, roles)]

    def events(self, measure: str, by: list[str]) -> Iterator[Record]:
        for e in self.records["events"]:
            lo, hi = bounds(e["date"])
            entity = e["id"] if measure == "events" else (e["incident"] or e["id"])
            for a, b in product(self._event(e, by), self._people(e["participants"], by, lo or hi)):
                yield {"entity": entity, "named": True, "weight": 1, "unknown": 0, "lo": lo, "hi": hi, "dims": a | b}

    def family(self, group: Record) -> str:
        seen = [group["id"]]
        while group["within"] is not None:
            if group["within"] in seen:
                circle = seen[seen.index(group["within"]) :]
                return str(min(circle))
            seen.append(group["within"])
            if group["within"] not in self.groups:
                break
            group = self.groups[group["within"]]
        return str(seen[-1])

    def people(self, measure: str, by: list[str]) -> Iterator[Record]:
        listing = measure == "list_entries"
        for e in self.records["events"]:
            lo, hi = bounds(e["date"])
            if listing and not e["type"].startswith(("listed_", "wanted_notice", "listing")):
                continue
            for p in e["participants"]:
                if p["role"] != ("listed" if listing else "victim") or (p["organisation"] and not listing):
                    continue
                who = p["person"] or p["organisation"]
                entity = (p["id"] if listing else who["id"]) if who else self.family(p)
                weight = 1 if who else p["count"] or 1
                for a, b in product(self._event(e, by), self._people_of(p, by, lo or hi)):
                    yield {
                        "entity": entity,
                        "named": bool(who),
                        "weight": weight,
                        "unknown": 0,
                        "lo": lo,
                        "hi": hi,
                        "dims": a | b,
                    }

    def _people_of(self, p: Record, by: list[str], day: date | None) -> list[dict[str, str]]:
        people = [b for b in by if b in ("sex", "group", "age_band")]
        found = self.combined([p], people, lambda q, b: self.person(q["person"], b, day))
        return [{**a, **({"role": p["role"]} if "role" in by else {})} for a in found]

    def _case(self, c: Record, by: list[str]) -> list[dict[str, str]]:
        one = {
            "type": c["kind"],
            "stage": c["stage"] or NONE,
            "origin": c["origin"],
            "court": c["court"]["id"] if c["court"] else NONE,
        }
        judges = self.combined(c["judges"], [b for b in by if b == "judge"], lambda j, _b: [j["id"] if j else NONE])
        sources = self.combined(
            c["citations"], [b for b in by if b == "source"], lambda s, _b: [s["source"]["id"] if s else NONE]
        )
        return [{**{b: one[b] for b in by if b in one}, **j, **s} for j, s in product(judges, sources)]

    def _charged(self, charges: list[Record], by: list[str]) -> list[dict[str, str]]:
        return self.combined(
            charges,
            [b for b in by if b in ("statute", "article", "code")],
            lambda h, b: [self.statute(h and h["statute"], b)],
        )

    def cases(self, _measure: str, by: list[str], date_field: str = "decided") -> Iterator[Record]:
        for c in self.records["cases"]:
            lo, hi = bounds(c[date_field])
            outcomes = self.combined(
                c["sentences"], [b for b in by if b == "outcome"], lambda s, _b: [s["outcome"] if s else NONE]
            )
            for a, b, o in product(self._case(c, by), self._charged(c["charges"], by), outcomes):
                yield {
                    "entity": c["id"],
                    "named": True,
                    "weight": c["count"] or 1,
                    "unknown": 0,
                    "lo": lo,
                    "hi": hi,
                    "dims": a | b | o,
                }

    def charges(self, measure: str, by: list[str], date_field: str = "date") -> Iterator[Record]:
        for c in self.records["cases"]:
            for h in c["charges"]:
                lo, hi = bounds(h["date"] if date_field == "date" else c[date_field])
                people = 1 if h["some_only"] else h["count"] or 1
                entity, weight, named = h["id"], people * (h["counts"] or 1), True
                if measure == "persons_charged":
                    named = h["person"] is not None
                    entity = h["person"]["id"] if named else (c["id"], h["label"] or "")
                    weight = 1 if named else people
                who = self.combined(
                    [h], [b for b in by if b in ("sex", "group")], lambda x, b: self.person(x["person"], b, None)
                )
                own = {"status": h["status"]} if "status" in by else {}
                for a, b, w in product(self._case(c, by), self._charged([h], by), who):
                    yield {
                        "entity": entity,
                        "named": named,
                        "weight": weight,
                        "unknown": 0,
                        "lo": lo,
                        "hi": hi,
                        "dims": a | b | w | own,
                    }

    def sentences(self, measure: str, by: list[str], **options: Any) -> Iterator[Record]:
        for c in self.records["cases"]:
            lo, hi = bounds(c["decided"])
            for s in c["sentences"]:
                same = [
                    h
                    for h in c["charges"]
                    if (h["person"] and h["person"]["id"]) == (s["person"] and s["person"]["id"])
                ]
                who = self.combined(
                    [s], [b for b in by if b in ("sex", "group")], lambda x, b: self.person(x["person"], b, None)
                )
                own = {"outcome": s["outcome"]} if "outcome" in by else {}
                for entity, named, weight, unknown, extra in self._components(measure, c, s, lo or hi, by, **options):
                    for a, b, w in product(self._case(c, by), self._charged(same, by), who):
                        yield {
                            "entity": entity,
                            "named": named,
                            "weight": weight,
                            "unknown": unknown,
                            "lo": lo,
                            "hi": hi,
                            "dims": a | b | w | own | extra,
                        }

    def _components(  # noqa: PLR0913 -- all that a component's amount depends on
        self,
        measure: str,
        c: Record,
        s: Record,
        day: date | None,
        by: list[str],
        *,
        unit: str | None = None,
        rates: Any = None,
    ) -> Iterator[tuple[Any, bool, Any, int, dict[str, str]]]:
        number = s["count"] or 1
        if measure == "persons_convicted":
            if s["outcome"] == "convicted":
                named = s["person"] is not None
                yield s["person"]["id"] if named else (c["id"], s["label"] or ""), named, 1 if named else number, 0, {}
            return
        kinds = {
            "arrest_days": {"administrative_arrest"},
            "imprisonment_days": {"imprisonment", "life_imprisonment"},
            "fines": {"fine"},
        }
        found = [k for k in s["components"] if measure == "sentences" or k["kind"] in kinds[measure]]
        for k in found or ([None] if measure == "sentences" else []):
            extra = {"sentence": k["kind"] if k else NONE} if "sentence" in by else {}
            if measure == "sentences":
                yield (s["id"], k and k["id"]), True, number, 0, extra
                continue
            if "unit" in by:
                extra |= {"unit": k["unit"] or NONE}
            if measure == "fines":
                amount = k["amount"]
                if unit is not None:
                    if unit not in (k["unit"], k["converted_unit"]) and k["amount"] is not None:
                        continue
                    amount = (
                        k["amount"]
                        if k["unit"] == unit
                        else k["converted_amount"]
                        if k["converted_unit"] == unit
                        else None
                    )
                elif rates is not None:
                    amount = rates(k, day)
            else:
                amount = k["normal_days"]
            amount = None if amount is None else Decimal(str(amount))
            yield (s["id"], k["id"]), True, amount or 0, 0 if amount is not None else number, extra

    # --- stocks --------------------------------------------------------------------------------------

    def stock(self, measure: str, by: list[str], day: date) -> dict[tuple[str, ...], tuple[int, int, int]]:
        """Count a stock on a day: dimensions → value, min, max."""
        subject = "person" if measure == "persons_in_status" else "organisation"
        found: dict[tuple[str, ...], tuple[set[str], set[str], set[str]]] = defaultdict(lambda: (set(), set(), set()))
        for s in self.records["statuses"]:
            if s[subject] is None:
                continue
            (se, sl), (ee, el) = bounds(s["start"]), bounds(s["end"])
            start, end = se or sl, ee or el
            counted = (start is None or start <= day) and (end is None or end >= day)
            surely = sl is not None and sl <= day and (s["end"] is None or (ee is not None and ee >= day))
            possibly = (se is None or se <= day) and (el is None or el >= day)
            facility = self.organisations[s["facility"]["id"]] if s["facility"] else None
            one = {
                "status": s["kind"],
                "origin": s["origin"],
                "facility": facility["id"] if facility else NONE,
                "region": self.region(facility["place"] if facility else None),
            }
            who = self.combined(
                [s], [b for b in by if b in ("sex", "group")], lambda x, b: self.person(x["person"], b, None)
            )
            sources = self.combined(
                s["citations"], [b for b in by if b == "source"], lambda c, _b: [c["source"]["id"] if c else NONE]
            )
            for w, c in product(who, sources):
                values = one | w | c
                for is_in, kept in zip((counted, surely, possibly), found[tuple(values[b] for b in by)], strict=True):
                    if is_in:
                        kept.add(s[subject]["id"])
        return {k: tuple(len(x) for x in v) for k, v in found.items() if v[2]}  # type: ignore[misc]


def count(
    registry: Registry, measure: str, by: list[str], start: date | None, end: date | None, **options: Any
) -> tuple[dict[tuple[str, ...], dict[str, Any]], dict[str, Any]]:
    """Count a flow: (cells, total), each with value, min, max, named, unnamed, unknown; the total with undated too."""
    rows = list(registry.rows(measure, [b for b in by if b not in TIMES], **options))
    grain = next((b for b in by if b in TIMES), None)
    ends = [d for r in rows for d in (r["lo"], r["hi"]) if d and _touches(r, start, end)]
    # A period that is open at one side has at least the day at its other.
    first: Any = start or min([*ends, *([end - timedelta(days=1)] if end else [])], default=None)
    last: Any = end - timedelta(days=1) if end else max([*ends, *([start] if start else [])], default=None)
    cells: dict[tuple[str, ...], Any] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, False, 0, 0]))
    total: Any = defaultdict(lambda: [0, 0, 0, False, 0, 0])
    for r in rows:
        at = r["lo"] or r["hi"]
        inside = at is not None and (start is None or at >= start) and (end is None or at < end)
        sure = (
            at is not None
            and (start is None or (r["lo"] is not None and r["lo"] >= start))
            and (end is None or (r["hi"] is not None and r["hi"] < end))
        )
        possible = _touches(r, start, end)
        _add(total[r["entity"]], r, inside, sure, possible)
        if grain is None:
            key = tuple(r["dims"][b] for b in by)
            if possible:
                _add(cells[key][r["entity"]], r, inside, sure, possible)
        elif possible:
            names: set[str] = _periods(grain, max(r["lo"] or first, first), min(r["hi"] or last, last))
            own = period(grain, at) if inside else None
            one = r["lo"] and r["hi"] and period(grain, r["lo"]) == period(grain, r["hi"])
            for name in {*names, *([own] if own else [])}:
                key = tuple(name if b == grain else r["dims"][b] for b in by)
                _add(cells[key][r["entity"]], r, name == own, bool(one and sure and name == own), True)
    return {k: _sum(v) for k, v in cells.items()}, _sum(total)


def _touches(r: Record, start: date | None, end: date | None) -> bool:
    if r["lo"] is None and r["hi"] is None:
        return False
    return (start is None or r["hi"] is None or r["hi"] >= start) and (end is None or r["lo"] is None or r["lo"] < end)


def _periods(grain: str, first: date, last: date) -> set[str]:
    return {period(grain, first + timedelta(days=n)) for n in range((last - first).days + 1)}


def _add(kept: list[Any], r: Record, inside: bool, sure: bool, possible: bool) -> None:
    for n, yes in enumerate((inside, sure, possible)):
        kept[n] = max(kept[n], r["weight"]) if yes else kept[n]
    kept[3] = r["named"]
    kept[4] = max(kept[4], r["unknown"]) if inside else kept[4]
    kept[5] = max(kept[5], r["weight"]) if r["lo"] is None and r["hi"] is None else kept[5]


def _sum(found: dict[Any, list[Any]]) -> dict[str, Any]:
    each = list(found.values())
    return {
        "value": sum(e[0] for e in each),
        "min": sum(e[1] for e in each),
        "max": sum(e[2] for e in each),
        "named": sum(e[0] for e in each if e[3]),
        "unnamed": sum(e[0] for e in each if not e[3]),
        "unknown": sum(e[4] for e in each),
        "undated": sum(e[5] for e in each),
    }
