"""Records field by field: what of one was changed, by whom, and what two changes have in common."""

import hashlib
import json
from functools import cache
from typing import Any
from uuid import UUID

from app.core.records import PartIn, RecordIn, Resource
from app.core.refs import Ref, To
from app.core.rows import Found, Rows, same, to_json

Refs = dict[tuple[str, Ref], UUID]
"""What references stand for: table and reference → id."""

LOCAL = frozenset({"id", "position", "effective_level", "folded", "normal_days"})
"""What tells nothing of a part's content: ids, places in lists, and what the database makes of the rest."""


def hashes(given: RecordIn) -> dict[str, str]:
    """Return a hash of each field as it was given, to tell later which of them were changed; no content is kept."""
    plain = given.model_dump(mode="json", by_alias=True)
    texts = {name: json.dumps(value, sort_keys=True, ensure_ascii=False) for name, value in plain.items()}
    return {name: hashlib.blake2b(text.encode(), digest_size=12).hexdigest() for name, text in texts.items()}


def with_ids(given: RecordIn, refs: Found) -> dict[str, Any]:
    """Return a record as JSON in which each reference that was found is an id."""
    copy = given.model_copy(deep=True)
    _name_by_id(copy, refs)
    return copy.model_dump(mode="json", by_alias=True, exclude_none=True)


def _name_by_id(given: RecordIn | PartIn, refs: Any) -> None:
    for name, info in type(given).model_fields.items():
        value = getattr(given, name)
        to = next((m for m in info.metadata if isinstance(m, To)), None)
        if to is not None and value is not None:
            found = [Ref(id=refs[to.table, r]) if (to.table, r) in refs else r for r in _listed(value)]
            setattr(given, name, found if isinstance(value, list) else found[0])
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, PartIn):
                    _name_by_id(item, refs)


def plain(given: RecordIn, refs: Any = None) -> dict[str, Any]:
    """Return a record field by field in a form in which equal ones are equal: references as ids, no ids of parts."""
    dumped = with_ids(given, refs or {})
    return {name: _without_ids(value) for name, value in dumped.items()}


def _without_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [
            _without_ids({k: v for k, v in i.items() if k != "id" or len(i) == 1}) if isinstance(i, dict) else i
            for i in value
        ]
    if isinstance(value, dict):
        return {k: _without_ids(v) for k, v in value.items()}
    return _number(value)


def _number(value: Any) -> Any:
    """Compare numbers by value: PostgreSQL writes 4.500 where 4.5 was given."""
    try:
        return value if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@cache
def _field_of(resource: Resource) -> dict[str, str]:
    """Return column, part table or link table, as documents of the change log have it → field of the record."""
    assert resource.create is not None  # noqa: S101 -- every resource of the feed can be written
    found: dict[str, str] = {}
    for name, info in resource.create.model_fields.items():
        columns = [name, f"{name}_id", *(f"{name}_{n}" for n in ("earliest", "latest", "printed", "inferred"))]
        found |= {column: info.alias or name for column in columns if column in resource.table.c}
    found |= {part.table.name: part.name for part in resource.parts}
    return found | {links.table.name: links.name for links in resource.links}


def names_of(resource: Resource) -> frozenset[str]:
    """Return the names of all fields of a record."""
    return frozenset(_field_of(resource).values())


def fields_of(resource: Resource, changed: list[str]) -> set[str]:
    """Return the fields of a record behind the names that its documents have."""
    known = _field_of(resource)
    return {known[name] for name in changed if name in known}


def differing(resource: Resource, document: dict[str, Any], rows: dict[str, Rows]) -> set[str]:
    """Return the fields in which given rows differ from a document of the change log; ids of parts do not matter."""
    known = _field_of(resource)
    own = json.loads(to_json(rows[resource.table.name]))[0]
    found = {known[c] for c, value in own.items() if c in known and not same(document, {c: value}, set())}
    nested = {p.table.name: (p.name, p.parts) for p in resource.parts} | {
        x.table.name: (x.name, ()) for x in resource.links
    }
    for table, (name, parts) in nested.items():
        given = [dict(r) for r in json.loads(to_json(rows.get(table, [])))]
        for part in parts:
            below = json.loads(to_json(rows.get(part.table.name, [])))
            for row in given:
                row[part.name] = [_plain(b, {part.owner}) for b in below if b[part.owner] == row["id"]]
        owners = {c for c in (given or [{}])[0] if c.endswith("_id")} - set((document.get(table) or [{}])[0])
        kept = document.get(table) or []
        if len(given) != len(kept) or not all(_alike(k, g, owners) for k, g in zip(kept, given, strict=True)):
            found.add(name)
    return found


def _plain(row: dict[str, Any], ignored: set[str]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in LOCAL | ignored}


def _alike(kept: dict[str, Any], given: dict[str, Any], owners: set[str]) -> bool:
    lists = {k: v for k, v in given.items() if isinstance(v, list) and v and isinstance(v[0], dict)}
    for name, items in lists.items():
        there = kept.get(name) or []
        if len(there) != len(items) or not all(_alike(t, i, set()) for t, i in zip(there, items, strict=True)):
            return False
    return same(kept, _plain(given, owners | set(lists)), set())


def changed_by(before: dict[str, str] | None, after: dict[str, str]) -> set[str]:
    """Return the fields whose hashes differ; all of them where nothing is known from before."""
    return {name for name, value in after.items() if before is None or before.get(name) != value}
