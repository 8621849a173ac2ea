"""Batches of validated records into the registry: many in one statement, equal ones left, one transaction each."""

import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.core.batches import Item, store
from app.core.database import Database, Transaction
from app.core.errors import Problem
from app.core.records import Audience
from app.exchange.mapping import digest

EXAMPLES = 3


@dataclass
class Unit:
    """The records of one row."""

    line: int
    items: list[Item]


@dataclass
class Rejected:
    """A row that was left out: where and why, the code or record that is unknown, and whether that may still come."""

    unit: Unit
    field: str
    problem: str
    unknown: tuple[str, str] | None = None
    waits: bool = False


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


# --- writing ------------------------------------------------------------------------------------------


class Store:
    """Writes batches of rows, and tells what it did."""

    def __init__(self, database: Database, actor: str, *, dry: bool = False) -> None:
        """Remember where to write; `dry` undoes each batch after it was tried."""
        self.database, self.actor, self.dry = database, actor, dry
        self._tried = Seen()  # what a dry run would have made by now

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

    async def write(self, units: list[Unit]) -> tuple[Outcome, list[Rejected]]:
        """Write the rows in one transaction, each whole or not at all; return what was done, and the rows left out.

        Raises what PostgreSQL raises for no fault of a row; then nothing was written.
        """
        # Rows may tell of the same record: the first of them says what it is.
        distinct = {i.identity: i for unit in reversed(units) for i in reversed(unit.items)}
        for unit in units:
            unit.items = list(dict.fromkeys(distinct[i.identity] for i in unit.items))
        async with self._transaction() as transaction:
            problems = await store(transaction, [unit.items for unit in units], by_key=True, forward=True)
        rejected = [_rejected(unit, p) for unit, p in zip(units, problems, strict=True) if p is not None]
        return self._outcome(units), rejected

    def _outcome(self, units: list[Unit]) -> Outcome:
        outcome = Outcome()
        for item in dict.fromkeys(i for unit in units for i in unit.items):
            if item.result == "created":
                name = digest(item.identity)
                outcome.note("left" if self.dry and self._tried.again(name, name)[0] else "created", item)
            elif item.result is not None:
                outcome.note("updated" if item.result == "updated" else "left", item)
        return outcome


def _rejected(unit: Unit, problem: Problem) -> Rejected:
    """Tell why a row was left out."""
    for item in unit.items:
        kind = item.resource.type
        for pointer, vocabulary, code in item.unknown:
            return Rejected(unit, f"{kind}{pointer}", f"not a code of the vocabulary {vocabulary}", (vocabulary, code))
        for pointer, table, ref in item.missing:
            name = (table, ref.key or ref.origin_id or str(ref.id))
            return Rejected(unit, f"{kind}{pointer}", f"there is no such record in {table}", name, waits=True)
    return Rejected(unit, "", problem.detail or problem.title)
