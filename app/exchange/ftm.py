"""FollowTheMoney: persons, organisations, cases and events as entities of its schema, one JSON object a line.

An entity's id is the record's own. Its dates are only as precise as ours; an interval becomes its two ends, and a date
that FollowTheMoney cannot hold is left out rather than made more certain than it is. What the schema has no place
for stays in the NDJSON export, which is the complete one.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

Record = dict[str, Any]
Entity = dict[str, Any]

_PLAIN_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
_SEASONS = re.compile(r"[0-9]{4}-2[1-4]")
_KINDS_OF_NAME = {"former": "previousName", "abbreviation": "weakAlias"}


def _entity(schema: str, key: str, **properties: Any) -> Entity:
    """Return an entity; a property is a list of distinct texts, and one without any is left out."""
    lists = {n: v if isinstance(v, list) else [v] for n, v in properties.items()}
    kept = {n: list(dict.fromkeys(str(v) for v in values if v not in (None, ""))) for n, values in lists.items()}
    return {"id": key, "schema": schema, "properties": {n: v for n, v in kept.items() if v}}


def _dates(date: Record | None) -> tuple[str | None, str | None]:
    """Return the two ends of a date as far as they are plain; both are the same where it is no interval."""
    start, slash, end = (date or {}).get("edtf", "").partition("/")
    ends = (start, end if slash else start)
    first, last = (e if _PLAIN_DATE.fullmatch(e) and not _SEASONS.fullmatch(e) else None for e in ends)
    return first, last


def _day(date: Record | None) -> str | None:
    """Return a date that is no interval."""
    first, last = _dates(date)
    return first if first == last else None


def _names(record: Record) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for n, name in enumerate(record["names"]):
        to = "name" if n == 0 else _KINDS_OF_NAME.get(name["kind"], "alias")
        found.setdefault(to, []).append(name["text"])
    return found


def _address(url: str | None) -> str | None:
    """Return an address as FollowTheMoney writes it: with the path `/` where it has none."""
    parts = urlsplit(url or "")
    return urlunsplit(parts._replace(path=parts.path or "/")) if url else None


def _id(reference: Record | None) -> str | None:
    return reference["id"] if reference else None


def _label(reference: Record | None) -> str | None:
    return reference["label"] if reference else None


def _person(record: Record) -> Iterator[Entity]:
    yield _entity(
        "Person",
        record["id"],
        **_names(record),
        gender=record["sex"],
        birthDate=_day(record["born"]),
        deathDate=_day(record["died"]),
        keywords=record["groups"],
        summary=record["summary"],
    )
    for tie in record["affiliations"]:
        if tie["organisation"] is not None:
            yield _entity(
                "Membership",
                tie["id"],
                member=record["id"],
                organization=_id(tie["organisation"]),
                role=tie["role"],
                status=tie["state"],
                startDate=_dates(tie["from"])[0],
                endDate=_dates(tie["to"])[1],
            )


def _organisation(record: Record) -> Iterator[Entity]:
    yield _entity(
        "Organization",
        record["id"],
        **_names(record),
        classification=record["kind"],
        incorporationDate=_day(record["founded"]),
        dissolutionDate=_day(record["dissolved"]),
        parent=_id(record["parent"]),
        website=_address(record["website"]),
        summary=record["summary"],
    )


def _case(record: Record) -> Iterator[Entity]:
    when = (record["decided"] or record["opened"] or {}).get("edtf")
    yield _entity(
        "CourtCase",
        record["id"],
        name=" ".join(t for t in (record["kind"], "case", record["number"] or when) if t),
        category=record["kind"],
        type=record["stage"],
        status=record["result"],
        caseNumber=record["number"],
        court=_label(record["court"]),
        fileDate=_day(record["opened"]),
        closeDate=_day(record["decided"]),
        keywords=record["contexts"],
        summary=record["summary"],
    )
    for charge in record["charges"]:
        if charge["person"] is not None:
            yield _entity(
                "CourtCaseParty",
                charge["id"],
                case=record["id"],
                party=_id(charge["person"]),
                role="accused",
                status=charge["status"],
                summary=_label(charge["statute"]),
                description=charge["allegation"],
                date=_day(charge["date"]),
            )
    for sentence in record["sentences"]:
        if sentence["person"] is not None:
            yield _entity(
                "CourtCaseParty",
                sentence["id"],
                case=record["id"],
                party=_id(sentence["person"]),
                role="sentenced",
                status=sentence["outcome"],
                summary=[_component(c) for c in sentence["components"]],
                description=sentence["note"],
            )
    for judge in record["judges"]:
        yield _entity(
            "CourtCaseParty", f"{record['id']}-{judge['id']}", case=record["id"], party=judge["id"], role="judge"
        )


def _component(component: Record) -> str:
    """Say a component in words: `administrative_arrest 15 days`, `fine 25 base_value`."""
    lengths = [f"{component[unit]:g} {unit}" for unit in ("years", "months", "days") if component[unit] is not None]
    amount = [component["amount"], component["unit"] or ""] if component["amount"] else []
    return " ".join([component["kind"], *lengths, *amount]).strip()


def _event(record: Record) -> Iterator[Entity]:
    first, last = _dates(record["date"])
    named = [(p["organisation"] or p["person"]) for p in record["participants"]]
    yield _entity(
        "Event",
        record["id"],
        name=" ".join(t for t in (record["type"], (record["date"] or {}).get("edtf")) if t),
        date=first if first == last else None,
        startDate=first if first != last else None,
        endDate=last if first != last else None,
        location=_label(record["place"]),
        involved=[_id(p) for p in named],
        keywords=[record["type"], *record["contexts"]],
        summary=record["description"],
    )


TRANSLATORS: dict[str, Callable[[Record], Iterator[Entity]]] = {
    "persons": _person,
    "organisations": _organisation,
    "cases": _case,
    "events": _event,
}


class Lines:
    """Turns our NDJSON, in pieces of any size, into lines of entities; counts the records."""

    def __init__(self, resource: str) -> None:
        """Begin with nothing read."""
        self._translate = TRANSLATORS[resource]
        self._rest = b""
        self.count = 0

    def __call__(self, data: bytes) -> bytes:
        """Return the entities of the records that this piece completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        self.count += len(whole)
        found = [
            json.dumps(entity, ensure_ascii=False) for line in whole for entity in self._translate(json.loads(line))
        ]
        return "".join(f"{line}\n" for line in found).encode()
