"""From a validated input to rows, and rows into tables: what a record refers to, its columns, its parts."""

import json
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Protocol, get_args
from uuid import UUID, uuid4

import pydantic_core
from sqlalchemy import Computed, Table

from app.core.database import Transaction
from app.core.edtf import DateIn, bounds
from app.core.errors import FieldProblem, Invalid
from app.core.records import LEVELS, PartIn, RecordIn, Resource
from app.core.refs import TARGETS, Ref, To
from app.core.vocabulary import code_fields

Rows = list[dict[str, Any]]


class Found(Protocol):
    """What a reference stands for: table and reference → id."""

    def __getitem__(self, wanted: tuple[str, Ref], /) -> UUID:
        """Return the id of the record referred to."""


# --- from an input to rows ----------------------------------------------------------------------------


@cache
def _fields(given: type[RecordIn | PartIn], table: Table) -> tuple[tuple[str, str | None, str], ...]:
    """Return of each field that has a column its name, the table that it refers to, and the column."""
    found = []
    for name, info in given.model_fields.items():
        to = next((m.table for m in info.metadata if isinstance(m, To)), None)
        column = f"{name}_id" if to is not None else name
        if column in table.c and name != "level":
            found.append((name, to, column))
    return tuple(found)


def _columns(given: RecordIn | PartIn, refs: Found, table: Table) -> dict[str, Any]:
    """Return the columns of one input: scalars as they are, a date as five, a reference as an id; parts have tables."""
    row: dict[str, Any] = {"level": LEVELS.index(given.level) if given.level is not None else None}
    values = given.__dict__
    for name, to, column in _fields(type(given), table):
        value = values[name]
        if to is not None:
            row[column] = refs[to, value] if value is not None else None
        elif isinstance(value, DateIn):
            bound = bounds(value.edtf)
            row[name] = value.edtf
            row[f"{name}_earliest"], row[f"{name}_latest"] = bound.earliest, bound.latest
            row[f"{name}_printed"], row[f"{name}_inferred"] = value.printed, value.inferred
        else:
            row[column] = value
    return row


def rows_of(resource: Resource, record_id: UUID, given: RecordIn, refs: Found) -> dict[str, Rows]:
    """Return the rows of one record by table name: the record's own, then those of its parts and links."""
    own = _columns(given, refs, resource.table) | {"id": record_id}
    rows: dict[str, Rows] = {resource.table.name: [own]}

    def add(parts: Any, owner: PartIn | RecordIn, owner_id: UUID) -> None:
        for part in parts:
            kept = rows.setdefault(part.table.name, [])
            for position, item in enumerate(getattr(owner, part.name)):
                row = _columns(item, refs, part.table) | item.derived()
                row |= {"id": item.id or uuid4(), part.owner: owner_id, "position": position}
                if row["level"] is None:
                    row["level"] = own["level"]
                kept.append(row)
                add(part.parts, item, row["id"])

    add(resource.parts, given, record_id)
    for links in resource.links:
        rows[links.table.name] = [
            {
                "id": uuid4(),
                links.owner: record_id,
                links.column: refs[links.to, ref],
                "position": n,
                "level": own["level"],
            }
            for n, ref in enumerate(getattr(given, links.name))
        ]
    return rows


@cache
def _referring(given: type[RecordIn | PartIn]) -> tuple[tuple[str, str, str | None], ...]:
    """Return of each field that refers to a record, or whose items may, its name, name outside, and the table."""
    found = []
    for name, info in given.model_fields.items():
        to = next((m.table for m in info.metadata if isinstance(m, To)), None)
        parts = any(isinstance(a, type) and issubclass(a, PartIn) for a in get_args(info.annotation))
        if to is not None or parts:
            found.append((name, info.alias or name, to))
    return tuple(found)


def references(given: RecordIn | PartIn, pointer: str = "") -> Iterator[tuple[str, str, Ref]]:
    """Yield each reference in an input: where it stands, the table it points at, and the reference."""
    for name, outside, table in _referring(type(given)):
        value, at = getattr(given, name), f"{pointer}/{outside}"
        if table is None:
            for n, item in enumerate(value):
                yield from references(item, f"{at}/{n}")
        elif isinstance(value, list):
            for n, ref in enumerate(value):
                yield f"{at}/{n}", table, ref
        elif value is not None:
            yield at, table, value


def standing(table: str, on: str) -> str:
    """Return the SELECT of the record `t` that meets `on`, or of the one into which such a record was merged.

    A merge is followed as far as the caller's own role can see it: a tombstone is as hidden as what it leads to.
    """
    return f"""coalesce((SELECT t.id FROM {table} t WHERE {on}), (
        WITH RECURSIVE led (id) AS (
            SELECT t.merged_into FROM tombstones t WHERE {on} AND t.merged_into IS NOT NULL
            UNION SELECT t.merged_into FROM led JOIN tombstones t ON t.id = led.id WHERE t.merged_into IS NOT NULL
        ) SELECT s.id FROM led JOIN {table} s ON s.id = led.id))"""  # noqa: S608 -- names of our own tables


def _finding(table: str, form: str) -> str:
    """Return the SELECT that finds references of one form in one table."""
    if form == "key":  # nothing that has a key is ever merged
        key = TARGETS[table].key
        found = f'(SELECT t.id FROM {table} t WHERE t."{key}" = r.key)' if key else "NULL::uuid"  # noqa: S608
    else:
        found = standing(
            table, {"id": "t.id = r.id", "origin": "t.origin = r.origin AND t.origin_id = r.origin_id"}[form]
        )
    return f"SELECT r.n, {found} AS id FROM r WHERE tab = '{table}' AND form = '{form}'"  # noqa: S608


async def find_refs(transaction: Transaction, wanted: Collection[tuple[str, Ref]]) -> dict[tuple[str, Ref], UUID]:
    """Look references up in one statement, under the caller's own role: a hidden record answers as an absent one.

    What was merged stands for the record that it was merged into.
    """
    listed, asked = list(wanted), []
    for n, (table, ref) in enumerate(listed):
        form = "id" if ref.id is not None else "key" if ref.key is not None else "origin"
        row = {"n": n, "tab": table, "form": form, "id": ref.id, "key": ref.key}
        asked.append({**row, "origin": ref.origin, "origin_id": ref.origin_id})
    if not asked:
        return {}
    kinds = sorted({(str(a["tab"]), str(a["form"])) for a in asked})
    sql = (
        "WITH r AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) "  # noqa: S608
        "AS r(n int, tab text, form text, id uuid, key text, origin text, origin_id text)) "
        + " UNION ALL ".join(_finding(*kind) for kind in kinds)
    )
    rows = await transaction.fetch(sql, to_json(asked))
    return {listed[r["n"]]: r["id"] for r in rows if r["id"] is not None}


async def unknown_codes(transaction: Transaction, codes: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return those (vocabulary, code) that no vocabulary has."""
    if not codes:
        return set()
    sql = (
        "SELECT v, c FROM unnest($1::text[], $2::text[]) AS r(v, c) WHERE NOT EXISTS "
        "(SELECT FROM vocabulary_terms t WHERE t.vocabulary = r.v AND t.code = r.c)"
    )
    vocabularies, terms = zip(*codes, strict=True)
    return {(r[0], r[1]) for r in await transaction.fetch(sql, vocabularies, terms)}


def missing_reference(pointer: str, table: str) -> FieldProblem:
    """Say that a reference names nothing that the caller can see."""
    detail = f"there is no such record in {table}, as far as this key can see"
    return FieldProblem(pointer=pointer, code="unknown_reference", detail=detail)


def missing_code(pointer: str, vocabulary: str) -> FieldProblem:
    """Say that a code is none of its vocabulary."""
    detail = f"not a code of the vocabulary; see /v1/vocabularies/{vocabulary}"
    return FieldProblem(pointer=pointer, code="unknown_code", detail=detail)


async def check(transaction: Transaction, given: RecordIn) -> dict[tuple[str, Ref], UUID]:
    """Find what the input refers to and the codes it uses, in one statement each; raises `Invalid` for the missing."""
    refs, codes = list(references(given)), list(code_fields(given))
    found = await find_refs(transaction, {(table, ref) for _, table, ref in refs})
    unknown = await unknown_codes(transaction, {(vocabulary, code) for _, vocabulary, code in codes})
    wrong = [missing_reference(pointer, table) for pointer, table, ref in refs if (table, ref) not in found]
    wrong += [missing_code(pointer, vocabulary) for pointer, vocabulary, code in codes if (vocabulary, code) in unknown]
    if wrong:
        raise Invalid("See `errors` for each part that is wrong.", errors=wrong)
    return found


# --- rows into tables ---------------------------------------------------------------------------------

KEPT_BY_DATABASE = frozenset(
    {"effective_level", "version", "version_partner", "version_public", "created_at", "updated_at"}
)


@cache
def writable(table: Table) -> tuple[str, ...]:
    """Return the columns that a writer may fill: all but those that the database keeps."""
    return tuple(
        c.name
        for c in table.c
        if c.name not in KEPT_BY_DATABASE and not isinstance(c.server_onupdate, Computed) and c.computed is None
    )


@cache
def _quoted(table: Table) -> str:
    return ", ".join(f'"{c}"' for c in writable(table))


@cache
def insert_sql(table: Table) -> str:
    """Insert any number of rows in one statement: PostgreSQL reads them from JSON by the table's own types."""
    columns, name = _quoted(table), table.name
    return f"INSERT INTO {name} ({columns}) SELECT {columns} FROM jsonb_populate_recordset(NULL::{name}, $1::jsonb)"  # noqa: S608 -- names of our own tables


@cache
def update_sql(table: Table) -> str:
    """Update any number of rows in one statement, read from JSON as by `insert_sql`."""
    changed = ", ".join(f'"{c}"' for c in writable(table) if c not in {"id", "origin", "origin_id"})
    values = changed.replace('"', "").split(", ")
    picked = ", ".join(f'n."{c}"' for c in values)
    return (
        f"UPDATE {table.name} t SET ({changed}) = ROW({picked}) "  # noqa: S608
        f"FROM jsonb_populate_recordset(NULL::{table.name}, $1::jsonb) n WHERE t.id = n.id"
    )


def to_json(rows: Rows) -> str:
    """Write rows as PostgreSQL reads them back: dates, ids and decimals as text."""
    return pydantic_core.to_json(rows).decode()


async def insert(transaction: Transaction, rows: dict[str, Rows], tables: dict[str, Table]) -> None:
    """Insert rows, each table in one statement, records first; a column that is left out is null like one of null."""
    for name, some in rows.items():
        if some:
            said = [{column: value for column, value in row.items() if value is not None} for row in some]
            await transaction.fetch(insert_sql(tables[name]), to_json(said))


@cache
def tables_of(resource: Resource) -> Mapping[str, tuple[Table, str]]:
    """Return the tables of a resource's parts and links, with the column that points at the owner."""
    found: dict[str, tuple[Table, str]] = {}

    def add(parts: Any) -> None:
        for part in parts:
            found[part.table.name] = (part.table, part.owner)
            add(part.parts)

    add(resource.parts)
    found |= {x.table.name: (x.table, x.owner) for x in resource.links}
    return MappingProxyType(found)


def same(kept: dict[str, Any], given: dict[str, Any], ignored: set[str]) -> bool:
    """Tell whether a kept row holds just what is given, both as JSON."""
    return all(_norm(kept.get(k)) == _norm(v) for k, v in given.items() if k not in ignored)


def _norm(value: Any) -> Any:
    """Compare numbers by value: PostgreSQL writes 4.500 where the client wrote 4.5."""
    if isinstance(value, bool) or value is None:
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _match(given: Rows, kept: dict[str, dict[str, Any]], ids: dict[UUID, UUID]) -> tuple[Rows, Rows]:
    """Split the given parts into new and changed; equal ones get their old ids, what is left in `kept` goes."""
    fresh, changed = [], []
    for row, plain in zip(given, json.loads(to_json(given)), strict=True):
        old = kept.pop(plain["id"], None)
        if old is None and (old := next((k for k in kept.values() if same(k, plain, {"id", "position"})), None)):
            del kept[old["id"]]
            ids[row["id"]] = UUID(old["id"])
            row["id"] = ids[row["id"]]
            plain["id"] = old["id"]
        ids.setdefault(row["id"], row["id"])
        if old is None:
            fresh.append(row)
        elif not same(old, plain, set()):
            changed.append(row)
    return fresh, changed


async def replace_parts(
    transaction: Transaction, resource: Resource, records: list[UUID], rows: dict[str, Rows]
) -> None:
    """Bring the parts of records to what is given: equal parts keep their rows and ids, the rest goes or comes."""
    ids = {record: record for record in records}
    for name, (table, owner) in tables_of(resource).items():
        given: dict[str, Rows] = {}
        for row in rows.get(name, []):
            row[owner] = ids.get(row[owner], row[owner])  # its owner may be a part that has just kept an older id
            given.setdefault(str(row[owner]), []).append(row)
        sql = f'SELECT to_jsonb(t)::text FROM {table.name} t WHERE t."{owner}" = ANY($1::uuid[])'  # noqa: S608
        kept: dict[str, dict[str, dict[str, Any]]] = {}
        for found in await transaction.fetch(sql, list(ids.values())):
            part = json.loads(found[0])
            kept.setdefault(part[owner], {})[part["id"]] = part
        fresh, changed = [], []
        for record, some in given.items():
            new, other = _match(some, kept.setdefault(record, {}), ids)
            fresh += new
            changed += other
        if gone := [part for some in kept.values() for part in some]:
            await transaction.fetch(f"DELETE FROM {table.name} WHERE id = ANY($1::uuid[])", gone)  # noqa: S608
        if changed:
            await transaction.fetch(update_sql(table), to_json(changed))
        if fresh:
            await transaction.fetch(insert_sql(table), to_json(fresh))
