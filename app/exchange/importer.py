"""The import: rows of a file become records, in batches of one transaction each, whole or absent.

Every record has an origin and an id there, so that importing again finds it: an equal one is left, another one is
updated. A row is taken as a whole: where one of its records is wrong, none of them is written, and the report says why.
"""

import asyncio
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from app.core.batches import Item
from app.core.refs import Ref
from app.exchange.mapping import Mapping, RowProblem, Values, digest, drafts
from app.exchange.queries import ORDER
from app.exchange.readers import Row
from app.exchange.store import Outcome, Seen, Store, Unit

BATCH = 200
"""Rows of one transaction: enough to make a statement's cost small, few enough to be done within its time limit."""

TURN = 20
"""Rows that are prepared before the statements under way have their turn."""

TOGETHER = 5000
"""Rows of one transaction where they name one another."""

SHARED = 5000
"""Records of many rows that are kept in memory."""

RESOURCES = {r.name: r for r in ORDER}

Reject = Callable[[dict[str, Any]], None]
"""Takes what the report says of a rejected row: line, column or field, and what is wrong."""

UnitOf = Callable[[Row, Outcome], Unit | None]
"""Makes the records of a row; None for one that only repeats another; raises `RowProblem`."""


# --- from rows to validated records -------------------------------------------------------------------


def _validated(resource: str, data: dict[str, Any], name: str) -> Any:
    found = RESOURCES.get(resource)
    if found is None or found.create is None:
        raise RowProblem(name, f"there is no resource {resource[:40]}")
    try:
        return found.create.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join([name, *(str(p) for p in first["loc"])])
        raise RowProblem(where, first["msg"].removeprefix("Value error, ")) from None


@dataclass
class Mapped:
    """Turns rows into validated records by a mapping."""

    mapping: Mapping
    values: Values
    defaults: dict[str, Any]
    seen: Seen
    shared: dict[str, tuple[dict[str, Any], Item]] = field(default_factory=dict)
    """What many rows tell of, validated once; bounded, so that memory stays flat."""
    told: Seen = field(default_factory=Seen)
    """Records that one row tells of, with what it says."""

    def __call__(self, row: Row, outcome: Outcome) -> Unit | None:
        """Return a row's records; None for a repeated row; raises `RowProblem`."""
        if row.problem:
            raise RowProblem("", row.problem)
        identity = self._identity(row.cells, outcome)
        if identity is None:
            return None
        items, contents = [], []
        for draft in drafts(self.mapping, self.values.of(row.cells), row.cells, identity):
            known = self.shared.get(draft.origin_id) if draft.shared else None
            if known is not None and known[0] == draft.data:
                items.append(known[1])
                continue
            data = {**self.defaults, **draft.data, "origin": self.mapping.origin, "origin_id": draft.origin_id}
            item = Item(RESOURCES[draft.resource], _validated(draft.resource, data, draft.name), once=draft.shared)
            items.append(item)
            if not draft.shared:
                contents.append((draft.name, digest(item.identity), digest(item.given.model_dump_json())))
            elif len(self.shared) < SHARED:
                self.shared[draft.origin_id] = draft.data, item
        if not items:
            raise RowProblem("", "nothing is recorded of it: no record of the mapping is for such a row")
        self._agree(contents)
        return Unit(row.line, items)

    def _agree(self, contents: list[tuple[str, str, str]]) -> None:
        """Refuse a row that says something else of a record than an earlier one, or than itself: one would be lost."""
        here: dict[str, str] = {}
        for name, identity, content in contents:
            if here.setdefault(identity, content) != content:
                raise RowProblem(name, "the row says different things of one record")
            if self.told.content(identity) not in {None, content}:
                raise RowProblem(name, "an earlier row says something else of this record")
        for identity, content in here.items():
            self.told.again(identity, content)

    def _identity(self, cells: dict[str, Any], outcome: Outcome) -> str | None:
        rule = self.mapping.identity
        content = digest({k: v for k, v in cells.items() if k not in rule.without})
        identity = digest({c: cells.get(c) for c in rule.columns}) if rule.columns else content
        times, same = self.seen.again(identity, content)
        if times == 0:
            return identity
        if rule.repeats == "separate":
            return digest(identity, times)
        if not same:
            raise RowProblem(", ".join(rule.columns), "an earlier row has the same identity and says something else")
        outcome.repeated += 1
        return None


def own_record(row: Row, _outcome: Outcome) -> Unit:
    """Return the record of a row of our own export, id and all; raises `RowProblem`."""
    if row.problem:
        raise RowProblem("", row.problem)
    found = RESOURCES[row.of]
    assert found.create is not None  # noqa: S101 -- every record can be made
    known = {i.alias or n for n, i in found.create.model_fields.items()}
    data = {k: v for k, v in row.cells.items() if v is not None or k not in known}
    given = _validated(row.of, data, found.type)
    try:
        record = UUID(str(row.cells.get("id")))
    except ValueError:
        raise RowProblem("id", "is not the id of a record") from None
    return Unit(row.line, [Item(found, given, id=record)], row.of)


# --- the run ------------------------------------------------------------------------------------------


@dataclass
class Batch:
    """Rows that are written together: their records with the row's place in the file, and what is rejected already."""

    units: list[tuple[int, Unit]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Run:
    """One import: takes rows, writes batches, hands on what is rejected."""

    store: Store
    outcome: Outcome
    reject: Reject
    moved: Callable[[int], None]
    unit_of: UnitOf
    wait: bool = False
    """Whether what a row names may come in a later one: such rows are set aside, and tried again."""

    _wanted: Seen = field(default_factory=Seen)
    """What rows that were set aside name, and the registry has not."""

    async def run(self, rows: Callable[[], Iterable[Row]]) -> None:
        """Import all rows; `rows` gives them anew as often as it is called, so that none has to be kept."""
        waiting = await self._first(enumerate(rows()))
        while waiting:
            left = await self._again(rows(), waiting, BATCH)
            if len(left) == len(waiting):  # they wait for one another, or for what never comes
                left = await self._again(rows(), waiting, TOGETHER, named=True)
            if len(left) == len(waiting):
                left = await self._again(rows(), waiting, TOGETHER, wait=False)
            waiting = left

    async def _first(self, rows: Iterator[tuple[int, Row]]) -> "array[int]":
        """Take all rows; while the database stores one batch, the next is prepared; return the places of who waits."""
        waiting = array("Q")
        writing: asyncio.Task[None] | None = None

        async def write(batch: Batch, done: int) -> None:
            waiting.extend(await self._write(batch, wait=self.wait))
            self.moved(done)

        try:
            while some := list(islice(rows, BATCH)):
                self.outcome.rows += len(some)
                batch = Batch()
                for n, row in some:
                    self._prepare(batch, n, row)
                    if n % TURN == 0:
                        await asyncio.sleep(0)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(write(batch, self.outcome.rows))
        finally:
            if writing is not None:  # what was begun is ended, whatever the next rows are
                await writing
        return waiting

    async def _again(
        self, rows: Iterable[Row], waiting: "array[int]", size: int, *, named: bool = False, wait: bool = True
    ) -> "array[int]":
        """Try rows again that were set aside, with `named` only those that others name; return who waits still."""
        left, batch = array("Q"), Batch()
        for n, row in _chosen(rows, waiting):
            self._prepare(batch, n, row)
            if named and batch.units and batch.units[-1][0] == n and not self._is_wanted(batch.units[-1][1]):
                left.append(batch.units.pop()[0])
            if len(batch.units) >= size:
                left.extend(await self._write(batch, wait=wait))
                batch = Batch()
        left.extend(await self._write(batch, wait=wait))
        return array("Q", sorted(left))

    def _prepare(self, batch: Batch, n: int, row: Row) -> None:
        """Make the records of a row, or say why it has none."""
        try:
            unit = self.unit_of(row, self.outcome)
        except RowProblem as problem:
            self._rejected(batch, row, problem.column, problem.problem, problem.unknown)
        else:
            if unit is not None:
                batch.units.append((n, unit))

    def _rejected(
        self, batch: Batch, row: Row | Unit, column: str, problem: str, unknown: Iterable[tuple[str, str]]
    ) -> None:
        self.outcome.rejected += 1
        self.outcome.note_unknown(unknown)
        of = {"resource": row.of} if row.of else {}
        batch.rejected.append({**of, "line": row.line, "column": column, "problem": problem})

    async def _write(self, batch: Batch, *, wait: bool) -> list[int]:
        """Write a batch, hand on what of it is rejected by line, and return the places of the rows to try again."""
        again = []
        if batch.units:
            done, rejected = await self.store.write([u for _, u in batch.units])
            self.outcome.add(done)
            places = {id(unit): n for n, unit in batch.units}
            for row in rejected:
                if wait and row.waits_for:
                    for name in map(_hash, row.waits_for):
                        self._wanted.again(name, name)
                    again.append(places[id(row.unit)])
                else:
                    self._rejected(batch, row.unit, row.column, row.problem, row.unknown)
        for told in sorted(batch.rejected, key=lambda t: t["line"]):
            self.reject(told)
        return again

    def _is_wanted(self, unit: Unit) -> bool:
        return any(self._wanted.content(_hash(name)) for item in unit.items for name in item.names())


def _chosen(rows: Iterable[Row], places: "array[int]") -> Iterator[tuple[int, Row]]:
    """Yield the rows at the given places, which are in order."""
    wanted = iter(places)
    place = next(wanted, None)
    for n, row in enumerate(rows):
        if n == place:
            yield n, row
            place = next(wanted, None)


def _hash(name: tuple[str, Ref]) -> str:
    table, ref = name
    return digest(table, ref.model_dump(mode="json"))
