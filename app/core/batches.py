"""Writing many records at once: looked up, compared, inserted and changed by the set, with an outcome for each.

The database does the same for a set as for one record; what differs is how often it is asked. Where it refuses a set,
the set is halved until the record that it refuses stands alone, so that each outcome is exact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import Table

from app.core.database import Transaction, problem_of
from app.core.differences import different
from app.core.errors import ChangedMeanwhile, Conflict, Gone, Invalid, Problem, Unavailable
from app.core.records import RecordIn, Resource
from app.core.refs import TARGETS, Ref
from app.core.rows import (
    Rows,
    find_refs,
    insert,
    missing_code,
    missing_reference,
    references,
    replace_parts,
    rows_of,
    tables_of,
    to_json,
    unknown_codes,
    update_sql,
)
from app.core.schema import RESOURCES as ORDER
from app.core.vocabulary import code_fields

Known = dict[tuple[str, Ref], UUID]
"""What references stand for: table and reference → id."""

BURIED = "A record with that id was deleted and cannot be made again."
STALE = "The record is not at that version; read it again and repeat your change on what it is now."
BUSY = "Too many changes at once met on the same records; try again."
TRIES = 3
"""How often a set is stored anew because somebody changed one of its records between the look and the lock."""


class _MovedError(Exception):
    """A record was changed or deleted between the look and the lock."""


@dataclass(eq=False)
class Item:
    """A validated record that is to be stored, and what became of it.

    `base` is the version that the change was made on, if that matters. `id` is the id that a new record is to have;
    afterwards the one that it has. With `once`, a record that is there already is left as it is.
    """

    resource: Resource
    given: RecordIn
    base: int | None = None
    id: UUID | None = None
    once: bool = False

    named: list[tuple[str, str, Ref]] = field(init=False)
    """References: pointer, table, reference."""
    codes: list[tuple[str, str, str]] = field(init=False)
    """Codes: pointer, vocabulary, code."""
    kept: bool = False
    """Whether the registry has it, under this identity or, where that was asked for, under its natural key."""
    leave: bool = False
    result: Literal["created", "updated", "unchanged"] | None = None
    version: int | None = None
    missing: list[tuple[str, str, Ref]] = field(default_factory=list)
    """References to nothing."""
    unknown: list[tuple[str, str, str]] = field(default_factory=list)
    """Codes that are none."""
    barred: Problem | None = None
    """Why it cannot be written at all: it was deleted, or is at another version."""

    def __post_init__(self) -> None:
        """List what it names; it is made while the database stores others."""
        self.named, self.codes = list(references(self.given)), list(code_fields(self.given))

    @property
    def identity(self) -> tuple[str, str, str]:
        """Name the record as others refer to it by origin."""
        return self.resource.name, self.given.origin or "", self.given.origin_id or ""

    @property
    def key(self) -> str | None:
        """Return its natural key, where records of its kind have one."""
        name = TARGETS[self.resource.name].key
        return getattr(self.given, name, None) if name else None

    def names(self) -> list[tuple[str, Ref]]:
        """Return all forms in which others may refer to it."""
        table, origin, origin_id = self.identity
        forms = [Ref(origin=origin, origin_id=origin_id)]
        forms += [Ref(id=self.id)] if self.id is not None else []
        forms += [Ref(key=self.key)] if self.key is not None else []
        return [(table, form) for form in forms]

    def wrong(self) -> Problem | None:
        """Say what keeps it from being stored, as far as that is known before it is tried."""
        if self.barred is not None or not (self.missing or self.unknown):
            return self.barred
        wrong = [missing_reference(pointer, table) for pointer, table, _ in self.missing]
        wrong += [missing_code(pointer, vocabulary) for pointer, vocabulary, _ in self.unknown]
        return Invalid("See `errors` for each part that is wrong.", errors=wrong)


Unit = Sequence[Item]
"""Records that are stored together or not at all."""


async def store(
    transaction: Transaction,
    units: Sequence[Unit],
    *,
    by_key: bool = False,
    forward: bool = False,
    known: Known | None = None,
) -> list[Problem | None]:
    """Store units, each whole or not at all; return what is wrong with each, and note in the items what became of them.

    Units may share an item, but no identity may stand in two items. A record may name those of earlier units, with
    `forward` those of any unit; `known` are references that the caller has looked up. With `by_key`, a record that
    another origin made under the same natural key is taken for this one, and left to that origin. Raises what is no
    fault of a record: a deadlock, a database that is away.
    """
    for unit in units:
        for item in unit:
            item.result = None
    storing = _Storing(transaction, units, by_key, forward, known or {}, [None] * len(units))
    if units:
        await storing.store(range(len(units)))
    return storing.problems


@dataclass
class _Storing:
    """One call of `store`: what it was given, and the problems found so far."""

    transaction: Transaction
    units: Sequence[Unit]
    by_key: bool
    forward: bool
    known: Known
    problems: list[Problem | None]

    async def store(self, chosen: range) -> None:
        """Store some of the units; where the database refuses them, each half by itself."""
        try:
            await self._undisturbed(chosen)
        except asyncpg.PostgresError as error:
            problem = problem_of(error)
            if not isinstance(problem, (Conflict, Gone, Invalid)):
                raise
            if len(chosen) == 1:
                self.problems[chosen[0]] = problem
                return
            middle = len(chosen) // 2
            await self.store(chosen[:middle])
            await self.store(chosen[middle:])

    async def _undisturbed(self, chosen: range) -> None:
        """Store units in a savepoint, anew where somebody else changed one of the records meanwhile."""
        items = list(dict.fromkeys(i for n in chosen for i in self.units[n]))
        before = {i: i.result for i in items}
        done = False
        for left in range(TRIES - 1, -1, -1):
            try:
                async with self.transaction.savepoint():
                    await self._once(chosen, items)
                done = True
            except _MovedError:
                if not left:
                    raise Unavailable(BUSY) from None
            else:
                return
            finally:  # what another unit has made of a shared item stays said
                for item in items:
                    if not done or before[item] in {"created", "updated"}:
                        item.result = before[item]

    async def _once(self, chosen: range, items: list[Item]) -> None:
        transaction = self.transaction
        await _identify(transaction, items, by_key=self.by_key)
        await _check_codes(transaction, items)
        sound, refs = await self._resolve(chosen)
        alive = list(dict.fromkeys(i for n in sound for i in self.units[n]))
        rows = {i: rows_of(i.resource, _id(i), i.given, refs) for i in alive if not i.leave}
        for item in alive:
            item.result = "unchanged" if item.kept else "created"
        await _insert(transaction, {i: r for i, r in rows.items() if not i.kept})
        changed: list[Item] = []
        for name in ORDER:
            some = {i: r for i, r in rows.items() if i.kept and i.resource.name == name}
            if some:
                changed += await _update(transaction, next(iter(some)).resource, some)
        written = [i for i in rows if not i.kept] + changed
        if written:
            await transaction.settle()
            await _read_versions(transaction, written)

    async def _resolve(self, chosen: range) -> tuple[list[int], Known]:
        """Find what units name; return those that can be stored, and note what is wrong with the others."""
        units = {n: self.units[n] for n in chosen}
        items = [i for unit in units.values() for i in unit]
        named = {i: i.named for i in items if not i.leave}
        tables = {table for some in named.values() for _, table, _ in some}

        def told(some: Iterable[Item]) -> Known:
            return {name: _id(i) for i in some if i.resource.name in tables for name in i.names()}

        refs = self.known | told(i for i in items if i.kept)
        wanted = {(table, ref) for some in named.values() for _, table, ref in some} - refs.keys()
        refs |= await find_refs(self.transaction, wanted)
        while True:
            found, sound = dict(refs), []
            if self.forward:
                found |= told(i for unit in units.values() for i in unit)
            for n, unit in units.items():
                for item in unit:
                    item.missing = [x for x in named.get(item, []) if x[1:] not in found]
                self.problems[n] = next((p for i in unit if (p := i.wrong()) is not None), None)
                if self.problems[n] is None:
                    sound.append(n)
                    found |= told(unit)
            if not self.forward or len(sound) == len(units):
                return sound, found
            units = {n: units[n] for n in sound}


def _id(item: Item) -> UUID:
    assert item.id is not None  # noqa: S101 -- given when it was looked up
    return item.id


# --- looking up -----------------------------------------------------------------------------------------


def _identifying(table: str, *, by_key: bool) -> str:
    """Return the SELECTs that find records of one table: by identity, by natural key, or what is left of them."""
    found = (
        "SELECT r.n, t.id, t.version, {how} AS how FROM r CROSS JOIN LATERAL "  # noqa: S608 -- names of our own tables
        f"(SELECT id, {{version}} AS version FROM {{table}} t WHERE {{on}} LIMIT 1) t WHERE r.tab = '{table}'"
    )
    origin = "t.origin = r.origin AND t.origin_id = r.origin_id"
    forms = [
        found.format(how="'identity'", table=table, version="version", on=origin),
        found.format(how="'buried'", table="tombstones", version="NULL::integer", on=origin),
    ]
    if by_key and (key := TARGETS[table].key):
        forms.append(found.format(how="'key'", table=table, version="version", on=f't."{key}" = r.key'))
    return " UNION ALL ".join(forms)


async def _identify(transaction: Transaction, items: list[Item], *, by_key: bool) -> None:
    """Find which records are there; note a problem for what was deleted or is at another version."""
    asked = []
    for n, item in enumerate(items):
        table, origin, origin_id = item.identity
        asked.append({"n": n, "tab": table, "origin": origin, "origin_id": origin_id, "key": item.key})
    sql = (
        "WITH r AS MATERIALIZED (SELECT * FROM jsonb_to_recordset($1::jsonb) "  # noqa: S608
        "AS r(n int, tab text, origin text, origin_id text, key text)) "
        + " UNION ALL ".join(_identifying(t, by_key=by_key) for t in sorted({i.resource.name for i in items}))
    )
    found: dict[int, dict[str, Any]] = {}
    for row in await transaction.fetch(sql, to_json(asked)):
        found.setdefault(row["n"], {})[row["how"]] = row
    for n, item in enumerate(items):
        how = found.get(n, {})
        row = how.get("identity") or how.get("key")
        item.kept, item.barred, item.missing, item.unknown = row is not None, None, [], []
        item.version = row["version"] if row else None
        item.id = row["id"] if row else item.id or uuid4()
        item.leave = item.kept and (item.once or "identity" not in how)
        if item.base is not None and item.version != item.base:
            item.barred = ChangedMeanwhile(STALE, version=item.version)
        elif row is None and "buried" in how:
            item.barred = Gone(BURIED)


async def _check_codes(transaction: Transaction, items: list[Item]) -> None:
    checked = [i for i in items if not i.leave]
    unknown = await unknown_codes(transaction, {(v, code) for i in checked for _, v, code in i.codes})
    if unknown:
        for item in checked:
            item.unknown = [c for c in item.codes if c[1:] in unknown]


# --- new records ----------------------------------------------------------------------------------------


def _parents_first(items: Iterable[Item], rows: dict[Item, dict[str, Rows]]) -> list[Item]:
    """Order records such that each comes after the one that it is part of: its level depends on that one's."""
    by_id = {i.id: i for i in items}
    if not any("parent_id" in i.resource.table.c or "base_id" in i.resource.table.c for i in by_id.values()):
        return list(by_id.values())
    placed: dict[Item, None] = {}

    def place(item: Item, below: frozenset[Item]) -> None:
        own = rows[item][item.resource.table.name][0]
        for column in ("parent_id", "base_id"):
            above = by_id.get(own.get(column))
            if above is not None and above not in placed and above not in below:
                place(above, below | {item})
        placed.setdefault(item)

    for item in by_id.values():
        place(item, frozenset())
    return list(placed)


async def _insert(transaction: Transaction, new: dict[Item, dict[str, Rows]]) -> None:
    """Insert records: the own rows of all of them, then the rows of their parts, a statement a table."""
    tables: dict[str, Table] = {}
    rows: dict[str, Rows] = {}
    for item in _parents_first(new, new):
        if item.resource.table.name not in tables:
            tables[item.resource.table.name] = item.resource.table
            tables |= {n: t for n, (t, _) in tables_of(item.resource).items()}
        for name, some in new[item].items():
            rows.setdefault(name, []).extend(some)
    own = [name for name in ORDER if name in rows]
    await insert(transaction, {name: rows[name] for name in [*own, *(n for n in rows if n not in own)]}, tables)


# --- records that are there -------------------------------------------------------------------------------


async def _update(transaction: Transaction, resource: Resource, given: dict[Item, dict[str, Rows]]) -> list[Item]:
    """Bring records to what is given; return those that were not so already, which alone are locked and written."""
    found = await different(transaction, resource, list(given.values()))
    changed = {_id(i): i for i in given if i.id in found}
    if not changed:
        return []
    lock = f"SELECT id, version FROM {resource.table.name} WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE"  # noqa: S608
    now = {r["id"]: r["version"] for r in await transaction.fetch(lock, list(changed))}
    rows: dict[str, Rows] = {}
    for record, item in changed.items():
        if record not in now or (item.base is not None and now[record] != item.base):
            raise _MovedError
        item.version = now[record]
        for name, some in given[item].items():
            rows.setdefault(name, []).extend(some)
    await transaction.fetch(update_sql(resource.table), to_json(rows.pop(resource.table.name)))
    await replace_parts(transaction, resource, list(changed), rows)
    return list(changed.values())


async def _read_versions(transaction: Transaction, written: list[Item]) -> None:
    """Note the versions that the written records now have; one whose version did not move was not changed."""
    tables = sorted({i.resource.table.name for i in written})
    sql = " UNION ALL ".join(f"SELECT id, version FROM {t} WHERE id = ANY($1::uuid[])" for t in tables)  # noqa: S608
    now = {r["id"]: r["version"] for r in await transaction.fetch(sql, [_id(i) for i in written])}
    for item in written:
        before, item.version = item.version, now[_id(item)]
        if item.kept:
            item.result = "unchanged" if before == item.version else "updated"


__all__ = ["Item", "Known", "Unit", "store"]
