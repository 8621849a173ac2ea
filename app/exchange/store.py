"""Batches of validated records into the registry: many in one statement, equal ones left, one transaction each."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.core.batches import Item, store
from app.core.database import AWAY, RETRYABLE, Database, Transaction
from app.core.errors import Problem, Unavailable
from app.core.records import Audience
from app.core.refs import Ref
from app.exchange.mapping import digest

EXAMPLES = 3
MOST_UNKNOWN = 10_000
"""Different unknown words that are listed; a column of texts taken for codes could have as many as rows."""
AGAIN = "run it again: what is written stays, and it goes on from there"
TRIES = 5
"""How often a batch is tried that meets with others' changes on the same records."""


class StoreError(Exception):
    """The database cannot take what is imported; the message is one line."""


@dataclass
class Unit:
    """The records of one row."""

    line: int
    items: list[Item]
    of: str = ""
    """In files of our own export the resource."""


@dataclass
class Rejected:
    """A row that was left out: where and why, the codes and records that are unknown, and what may still come."""

    unit: Unit
    column: str
    problem: str
    unknown: list[tuple[str, str]] = field(default_factory=list)
    waits_for: list[tuple[str, Ref]] = field(default_factory=list)


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
    """Where and what is unknown, with the number of rows; bounded, so that memory stays flat."""
    unlisted: int = 0
    """How often there was an unknown word that is not listed, since there are too many of them."""

    @property
    def taken(self) -> int:
        """Return how many rows are in the registry, or would be."""
        return self.rows - self.repeated - self.rejected

    def note_unknown(self, words: Iterable[tuple[str, str]]) -> None:
        """Count the unknown words of one row."""
        for word in dict.fromkeys(words):
            if word in self.unknown or len(self.unknown) < MOST_UNKNOWN:
                self.unknown[word] += 1
            else:
                self.unlisted += 1

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
    """Remembers what there was, by hashes in a file that vanishes with the import: memory stays flat."""

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

    def content(self, identity: str) -> str | None:
        """Return the content with which an identity was remembered first; None for one that was not."""
        key = bytes.fromhex(identity)
        row = self._kept.execute("SELECT content FROM seen WHERE identity = ?", (key,)).fetchone()
        return row[0].hex() if row else None

    def close(self) -> None:
        """Let the file go."""
        self._kept.close()


# --- writing ------------------------------------------------------------------------------------------


class Store:
    """Writes batches of rows, and tells what it did."""

    def __init__(self, database: Database, actor: str, *, dry: bool = False, whole: bool = False) -> None:
        """Remember where to write; `dry` undoes each batch after it was tried, or with `whole` all of them at the end.

        `whole` is for rows that name records of other rows; until its end, mirrors of the registry wait.
        """
        self.database, self.actor, self.dry, self.whole = database, actor, dry, whole and dry
        self._told = Seen()  # records of which it was said what became of them
        self._open: Transaction | None = None

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        if (transaction := self._open) is None:
            transaction = await self.database.transaction(Audience.EDITOR)
            transaction.actor = self.actor
        done = False
        try:
            yield transaction
            if self.dry:
                await transaction.settle()  # what only the commit would find is found here too
            done = True
        finally:
            self._open = transaction if done and self.whole else None
            if self._open is None:
                await transaction.end(commit=done and not self.dry)

    async def close(self) -> None:
        """Undo what a dry run as a whole has tried."""
        if self._open is not None:
            await self._open.end(commit=False)
        self._told.close()

    async def write(self, units: list[Unit]) -> tuple[Outcome, list[Rejected]]:
        """Write the rows in one transaction, each whole or not at all; return what was done, and the rows left out.

        Raises `StoreError` for no fault of a row; then nothing was written.
        """
        # Rows may tell of the same record: one that says it in full, or else the first of them says what it is.
        told = [i for unit in reversed(units) for i in reversed(unit.items)]
        distinct = {i.identity: i for i in told if i.once} | {i.identity: i for i in told if not i.once}
        for unit in units:
            unit.items = list(dict.fromkeys(distinct[i.identity] for i in unit.items))
        problems = await self._stored(units)
        rejected = [_rejected(unit, p) for unit, p in zip(units, problems, strict=True) if p is not None]
        return self._outcome(units), rejected

    async def _stored(self, units: list[Unit]) -> list[Problem | None]:
        """Store in one transaction, tried anew where others changed the same records meanwhile."""
        for left in range(TRIES, 0, -1):
            try:
                async with self._transaction() as transaction:
                    return await store(transaction, [unit.items for unit in units], by_key=True, forward=True)
            except (*RETRYABLE, Unavailable) as error:
                if left == 1 or self.whole:
                    raise StoreError(f"others change the same records; {AGAIN}") from error
            except AWAY as error:
                raise StoreError(f"the database went away or took too long: {type(error).__name__}; {AGAIN}") from None
            await asyncio.sleep(0.1)
        raise AssertionError

    def _outcome(self, units: list[Unit]) -> Outcome:
        """Tell what became of the records: of each once, however many rows tell of it."""
        outcome = Outcome()
        for item in dict.fromkeys(i for unit in units for i in unit.items):
            name = digest(item.identity)
            if item.result is not None and not self._told.again(name, name)[0]:
                outcome.note("left" if item.result == "unchanged" else item.result, item)
        return outcome


def _rejected(unit: Unit, problem: Problem) -> Rejected:
    """Tell why a row was left out: the first that is wrong with it, and all that is unknown in it."""
    found = [
        (f"{i.resource.type}{pointer}", f"not a code of the vocabulary {v}", (f"vocabulary {v}", code))
        for i in unit.items
        for pointer, v, code in i.unknown
    ]
    waits = not found and not any(i.barred for i in unit.items)
    found += [
        (f"{i.resource.type}{pointer}", f"there is no such record in {table}", (table, _name(ref)))
        for i in unit.items
        for pointer, table, ref in i.missing
    ]
    if not found:
        return Rejected(unit, "", problem.detail or problem.title)
    column, told, _ = found[0]
    waits_for = [(table, ref) for i in unit.items for _, table, ref in i.missing] if waits else []
    return Rejected(unit, column.replace("/", "."), told, [words for _, _, words in found], waits_for)


def _name(ref: Ref) -> str:
    return ref.key or ref.origin_id or str(ref.id)
