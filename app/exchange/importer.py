"""The import: rows of a file become records, in batches of one transaction each, whole or absent.

Every record has an origin and an id there, so that importing again finds it: an equal one is left, another one is
updated. A row is taken as a whole: where one of its records is wrong, none of them is written, and the report says why.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from app.core.batches import Item
from app.exchange.mapping import Mapping, RowProblem, Values, digest, drafts
from app.exchange.queries import ORDER
from app.exchange.readers import Row
from app.exchange.store import Outcome, Seen, Store, Unit

BATCH = 200
"""Rows of one transaction: enough to make a statement's cost small, few enough to be done within its time limit."""

TURN = 20
"""Rows that are prepared before the statements under way have their turn."""

SHARED = 5000

RESOURCES = {r.name: r for r in ORDER}

Reject = Callable[[int, str, str], None]
"""Takes a rejected row: line, column or field, and what is wrong."""


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

    def __call__(self, row: Row, outcome: Outcome) -> Unit | None:
        """Return a row's records; None for a repeated row; raises `RowProblem`."""
        if row.problem:
            raise RowProblem("", row.problem)
        identity = self._identity(row.cells, outcome)
        if identity is None:
            return None
        items = []
        for draft in drafts(self.mapping, self.values.of(row.cells), row.cells, identity):
            known = self.shared.get(draft.origin_id) if draft.shared else None
            if known is not None and known[0] == draft.data:
                items.append(known[1])
                continue
            data = {**self.defaults, **draft.data, "origin": self.mapping.origin, "origin_id": draft.origin_id}
            item = Item(RESOURCES[draft.resource], _validated(draft.resource, data, draft.name), once=draft.shared)
            items.append(item)
            if draft.shared and len(self.shared) < SHARED:
                self.shared[draft.origin_id] = draft.data, item
        return Unit(row.line, items)

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


def own_records(resource: str) -> Callable[[Row, Outcome], Unit | None]:
    """Return what turns the rows of our own export of a resource into validated records, ids and all."""
    found = RESOURCES[resource]
    assert found.create is not None  # noqa: S101 -- every record can be made
    known = {i.alias or n for n, i in found.create.model_fields.items()}

    def unit_of(row: Row, _outcome: Outcome) -> Unit | None:
        if row.problem:
            raise RowProblem("", row.problem)
        if row.cells.keys() == {"end", "count", "sha256"}:
            return None
        data = {k: v for k, v in row.cells.items() if v is not None or k not in known}
        given = _validated(resource, data, found.type)
        try:
            record = UUID(str(row.cells.get("id")))
        except ValueError:
            raise RowProblem("id", "is not the id of a record") from None
        return Unit(row.line, [Item(found, given, id=record)])

    return unit_of


# --- the run ------------------------------------------------------------------------------------------


@dataclass
class Run:
    """One import: takes rows, writes batches, hands on what is rejected."""

    store: Store
    outcome: Outcome
    reject: Reject
    moved: Callable[[int], None]
    wait: bool = False
    """Whether what a row refers to may still come: such rows are set aside, and tried once more at the end."""

    def _rejected(self, line: int, column: str, problem: str) -> None:
        self.outcome.rejected += 1
        self.reject(line, column, problem)

    async def run(self, rows: Iterable[Row], units_of: Callable[[Row, Outcome], Unit | None]) -> None:
        """Import all rows; while the database stores one batch, the next is prepared."""
        waiting: list[Unit] = []
        batch: list[Unit] = []
        writing: asyncio.Task[None] | None = None

        async def write(some: list[Unit], done: int) -> None:
            waiting.extend(await self._write(some, wait=self.wait))
            self.moved(done)

        try:
            for row in rows:
                self.outcome.rows += 1
                if (unit := self._unit(row, units_of)) is not None:
                    batch.append(unit)
                if self.outcome.rows % TURN == 0:
                    await asyncio.sleep(0)
                if len(batch) >= BATCH:
                    if writing is not None:
                        await writing
                    writing = asyncio.create_task(write(batch, self.outcome.rows))
                    batch = []
        finally:
            if writing is not None:  # what was begun is ended, whatever the next rows are
                await writing
        await write(batch, self.outcome.rows)
        # Records that name one another can only come together.
        await self._write(waiting, wait=False)

    def _unit(self, row: Row, units_of: Callable[[Row, Outcome], Unit | None]) -> Unit | None:
        try:
            unit = units_of(row, self.outcome)
        except RowProblem as problem:
            if problem.unknown:
                self.outcome.unknown[problem.unknown] += 1
            self._rejected(row.line, problem.column, problem.problem)
            return None
        return unit

    async def _write(self, units: list[Unit], *, wait: bool) -> list[Unit]:
        """Write a batch; return the rows to try again."""
        if not units:
            return []
        done, rejected = await self.store.write(units)
        self.outcome.add(done)
        again = []
        for row in rejected:
            if wait and row.waits:
                again.append(row.unit)
                continue
            if row.unknown:
                self.outcome.unknown[row.unknown] += 1
            self._rejected(row.unit.line, row.field, row.problem)
        return again
