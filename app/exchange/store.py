"""Batches of validated records into the registry: many in one statement, equal ones left, one transaction each."""

import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Table

from app.core import crud
from app.core.database import Database, Transaction
from app.core.records import Audience, RecordIn, Resource
from app.core.refs import TARGETS, Ref
from app.core.vocabulary import code_fields
from app.exchange.mapping import digest
from app.exchange.queries import ORDER

EXAMPLES = 3
PLACE = {r.name: n for n, r in enumerate(ORDER)}


@dataclass
class Item:
    """A validated record of a row, with what it takes to find it again; `id` is what it has or shall have."""

    resource: Resource
    given: RecordIn
    shared: bool = False
    id: UUID | None = None

    @property
    def identity(self) -> tuple[str, str, str]:
        """Name the record as others refer to it by origin."""
        return self.resource.name, self.given.origin or "", self.given.origin_id or ""

    @property
    def key(self) -> str | None:
        """Return the natural key under which the registry may have the record already."""
        name = TARGETS[self.resource.name].key
        return getattr(self.given, name, None) if name else None


@dataclass
class Unit:
    """The records of one row."""

    line: int
    items: list[Item]


@dataclass
class Lost:
    """A row that was left out because it refers to what is not there."""

    unit: Unit
    field: str
    table: str
    key: str


@dataclass
class Outcome:
    """What came of an import, or would come of it."""

    rows: int = 0
    repeated: int = 0
    rejected: int = 0
    created: Counter[str] = field(default_factory=Counter)
    updated: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: "Outcome") -> None:
        """Add what came of a batch."""
        for name in ("created", "updated", "left"):
            getattr(self, name).update(getattr(other, name))
        for name, some in other.examples.items():
            kept = self.examples.setdefault(name, [])
            kept += some[: EXAMPLES - len(kept)]

    def note(self, what: str, item: Item) -> None:
        """Count a record, and keep it as an example of its kind."""
        getattr(self, what)[item.resource.name] += 1
        kept = self.examples.setdefault(f"{what} {item.resource.name}", [])
        if len(kept) < EXAMPLES:
            kept.append(item.given.model_dump_json(exclude_defaults=True, by_alias=True))


FIND = """
SELECT r.n, found_origin(r.tab, r.origin, r.origin_id) AS by_origin,
       CASE WHEN r.key IS NOT NULL THEN found_key(r.tab, r.key) END AS by_key
  FROM jsonb_to_recordset($1::jsonb) AS r(n int, tab text, origin text, origin_id text, key text)
"""

Known = dict[tuple[str, Ref], UUID]
"""What references stand for: table and reference → id."""


@dataclass
class Batch:
    """The distinct records of some rows: what is new, what the registry has, and what references stand for."""

    new: list[Item] = field(default_factory=list)
    kept: list[Item] = field(default_factory=list)
    elsewhere: list[Item] = field(default_factory=list)
    known: Known = field(default_factory=dict)


def _learn(known: Known, item: Item, record: UUID) -> None:
    """Remember a record by all the forms in which others may refer to it."""
    table, origin, origin_id = item.identity
    known[table, Ref(id=record)] = record
    known[table, Ref(origin=origin, origin_id=origin_id)] = record
    if item.key is not None:
        known[table, Ref(key=item.key)] = record


async def _look_up(transaction: Transaction, units: list[Unit]) -> Batch:
    distinct = {i.identity: i for u in reversed(units) for i in reversed(u.items)}
    items = sorted(distinct.values(), key=lambda i: PLACE[i.resource.name])
    asked = [
        {"n": n, "tab": i.resource.name, "origin": i.given.origin, "origin_id": i.given.origin_id, "key": i.key}
        for n, i in enumerate(items)
    ]
    batch = Batch()
    for row in await transaction.fetch(FIND, json.dumps(asked)):
        item, found = items[row["n"]], row["by_origin"] or row["by_key"]
        item.id = found or item.id or uuid4()
        _learn(batch.known, item, item.id)
        (batch.kept if row["by_origin"] else batch.elsewhere if found else batch.new).append(item)
    return batch


async def _missing(transaction: Transaction, units: list[Unit], known: Known) -> list[Lost]:
    """Find what the rows refer to beyond the batch; return those that refer to nothing."""
    asked: dict[tuple[str, Ref], list[Lost]] = {}
    for unit in units:
        for item in unit.items:
            for pointer, table, ref in crud.references(item.given):
                if (table, ref) not in known:
                    name = ref.key or ref.origin_id or str(ref.id)
                    asked.setdefault((table, ref), []).append(Lost(unit, f"{item.resource.type}{pointer}", table, name))
    sent = [{"n": n, "tab": table, **ref.model_dump(mode="json")} for n, (table, ref) in enumerate(asked)]
    listed = list(asked)
    for row in await transaction.fetch(crud.FIND_REFS, json.dumps(sent)) if sent else []:
        if row["id"] is not None:
            known[listed[row["n"]]] = row["id"]
    return [lost for wanted, some in asked.items() if wanted not in known for lost in some]


def _parents_first(items: list[Item], known: Known) -> list[Item]:
    """Order records such that each comes after the one it is part of: its level depends on that one's."""
    by_id = {i.id: i for i in items}
    placed: dict[UUID | None, Item] = {}

    def place(item: Item, below: frozenset[UUID | None]) -> None:
        for name in ("parent", "base"):
            ref = getattr(item.given, name, None)
            above = by_id.get(known[item.resource.name, ref]) if ref is not None else None
            if above is not None and above.id not in placed and above.id not in below:
                place(above, below | {item.id})
        placed.setdefault(item.id, item)

    for item in items:
        place(item, frozenset())
    return sorted(placed.values(), key=lambda i: PLACE[i.resource.name])


async def _insert(transaction: Transaction, batch: Batch) -> None:
    """Insert the new records: the own rows of all of them, then the rows of their parts, a statement a table."""
    tables: dict[str, Table] = {}
    rows: dict[str, crud.Rows] = {}
    for item in _parents_first(batch.new, batch.known):
        assert item.id is not None  # noqa: S101 -- given when it was looked up
        tables[item.resource.table.name] = item.resource.table
        tables |= {n: t for n, (t, _) in crud.tables_of(item.resource).items()}
        for name, some in crud.rows_of(item.resource, item.id, item.given, batch.known).items():
            rows.setdefault(name, []).extend(some)
    own = [r.name for r in ORDER if r.name in rows]
    for name in [*own, *(n for n in rows if n not in own)]:
        await crud.insert(transaction, {name: rows[name]}, tables)


class Seen:
    """Remembers which rows there were, in a file that vanishes with the import: memory stays flat."""

    def __init__(self) -> None:
        """Begin with none."""
        self._kept = sqlite3.connect("")
        self._kept.execute("CREATE TABLE seen (identity BLOB PRIMARY KEY, content BLOB, times INT) WITHOUT ROWID")

    def again(self, identity: str, content: str) -> tuple[int, bool]:
        """Remember a row; return how often its identity was there before, and whether with the same content."""
        key, value = bytes.fromhex(identity), bytes.fromhex(content)
        row = self._kept.execute("SELECT content, times FROM seen WHERE identity = ?", (key,)).fetchone()
        if row is None:
            self._kept.execute("INSERT INTO seen VALUES (?, ?, 1)", (key, value))
            return 0, True
        self._kept.execute("UPDATE seen SET times = times + 1 WHERE identity = ?", (key,))
        return row[1], row[0] == value

    def close(self) -> None:
        """Let the file go."""
        self._kept.close()


# --- comparing ----------------------------------------------------------------------------------------

Kept = dict[str, dict[str, list[dict[str, Any]]]]
"""Table → id of the owner → rows in their order; a record's own row stands under its own id."""


async def _fetch_kept(transaction: Transaction, resource: Resource, ids: list[UUID]) -> Kept:
    """Return all rows of some records, a statement a table."""
    kept: Kept = {}
    owners: list[Any] = ids
    for name, owner in [(resource.table.name, "id"), *((n, o) for n, (_, o) in crud.tables_of(resource).items())]:
        order = "" if owner == "id" else " ORDER BY position, id"
        sql = f'SELECT to_jsonb(t)::text FROM {name} t WHERE "{owner}" = ANY($1::uuid[]){order}'  # noqa: S608 -- our own tables
        found = [json.loads(r[0]) for r in await transaction.fetch(sql, owners)]
        kept[name] = {}
        for row in found:
            kept[name].setdefault(row[owner], []).append(row)
        owners = [*owners, *(r["id"] for r in found)]  # a part may own parts
    return kept


def _equal(resource: Resource, item: Item, rows: dict[str, crud.Rows], kept: Kept) -> bool:
    """Tell whether a record is kept just as it is given; ids of parts do not matter."""
    own = kept[resource.table.name].get(str(item.id))
    if own is None or not crud.same(own[0], rows[resource.table.name][0], {"id"}):
        return False
    partner = {str(item.id): str(item.id)}
    for name, (_, owner) in crud.tables_of(resource).items():
        given: dict[str, crud.Rows] = {}
        for row in rows.get(name, []):
            given.setdefault(str(row[owner]), []).append(row)
        there = {g: kept[name].get(k, []) for g, k in partner.items() if g in given or k in kept[name]}
        for mine, old in there.items():
            new = given.get(mine, [])
            if len(new) != len(old) or not all(crud.same(o, n, {"id", owner}) for o, n in zip(old, new, strict=True)):
                return False
            partner |= {str(n["id"]): str(o["id"]) for o, n in zip(old, new, strict=True)}
    return True


async def _update(transaction: Transaction, item: Item, rows: dict[str, crud.Rows]) -> None:
    assert item.id is not None  # noqa: S101 -- it was found
    await transaction.fetch(crud.update_sql(item.resource.table), crud.to_json(rows.pop(item.resource.table.name)))
    await crud.replace_parts(transaction, item.resource, item.id, rows)


# --- writing ------------------------------------------------------------------------------------------


class Store:
    """Writes batches of rows, and tells what it did."""

    def __init__(self, database: Database, actor: str, *, dry: bool = False) -> None:
        """Remember where to write; `dry` undoes each batch after it was tried."""
        self.database, self.actor, self.dry = database, actor, dry
        self.codes: frozenset[tuple[str, str]] = frozenset()
        self._tried = Seen()  # what a dry run would have made by now

    async def prepare(self) -> None:
        """Read the vocabularies once."""
        rows = await self.database.fetch(Audience.EDITOR, "SELECT vocabulary, code FROM vocabulary_terms")
        self.codes = frozenset((r["vocabulary"], r["code"]) for r in rows)

    def unknown_code(self, unit: Unit) -> tuple[str, str, str] | None:
        """Return the first code of a row that its vocabulary does not have: field, vocabulary, code."""
        for item in unit.items:
            for pointer, vocabulary, code in code_fields(item.given):
                if (vocabulary, code) not in self.codes:
                    return f"{item.resource.type}{pointer}", vocabulary, code
        return None

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        transaction = await self.database.transaction(Audience.EDITOR)
        transaction.actor = self.actor
        done = False
        try:
            yield transaction
            if self.dry:
                await transaction.settle()  # what only the commit would find is found here too
            done = not self.dry
        finally:
            await transaction.end(commit=done)

    async def write(self, units: list[Unit]) -> tuple[Outcome, list[Lost]]:
        """Write the rows in one transaction; return what was done, and the rows left out for a missing reference.

        Raises what PostgreSQL raises; then nothing was written.
        """
        lost: list[Lost] = []
        async with self._transaction() as transaction:
            while units:
                batch = await _look_up(transaction, units)
                missing = await _missing(transaction, units, batch.known)
                if not missing:
                    return await self._store(transaction, batch), lost
                lost += missing
                out = {id(m.unit) for m in missing}
                units = [u for u in units if id(u) not in out]
        return Outcome(), lost

    async def _store(self, transaction: Transaction, batch: Batch) -> Outcome:
        outcome = Outcome()
        for item in batch.elsewhere:  # another origin's record of that key stays that origin's
            outcome.note("left", item)
        for resource in ORDER:
            items = [i for i in batch.kept if i.resource == resource]
            kept = await _fetch_kept(transaction, resource, [i.id for i in items if i.id]) if items else {}
            for item in items:
                assert item.id is not None  # noqa: S101 -- it was found
                rows = crud.rows_of(resource, item.id, item.given, batch.known)
                if item.shared or _equal(resource, item, rows, kept):
                    outcome.note("left", item)
                else:
                    await _update(transaction, item, rows)
                    outcome.note("updated", item)
        await _insert(transaction, batch)
        for item in batch.new:
            name = digest(item.identity)
            outcome.note("left" if self.dry and self._tried.again(name, name)[0] else "created", item)
        return outcome
