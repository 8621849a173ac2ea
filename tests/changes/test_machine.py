"""A machine that interleaves open transactions, commits, rollbacks, numbering, polls and crashes over three audiences.

Three writers' transactions are open at once, and hypothesis chooses who writes, deletes, merges or takes a merge back,
who commits and who rolls back, when changes are numbered, who polls, and who loses a page before storing it. In the end
each mirror equals what its caller may see. Then the same is done to feeds that are made wrong in known ways, and each
of those must be caught.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.changes import queries
from app.changes.pages import read_page
from app.changes.sequencer import Head, heads_of
from app.core.records import Audience
from app.core.settings import role_password
from app.persons.queries import PERSONS
from tests.conftest import SECRET, Site, make_site

AUDIENCES = {Audience.PUBLIC: 0, Audience.PARTNER: 1, Audience.EDITOR: 2}
TYPES = ["person"]
WINDOW = 3
"""Changes that a page looks at: so few that pages end for that reason too."""
TABLES = ("persons", "changes", "tombstones", "merges")


@dataclass
class Wrong:
    """What a mutant does otherwise than the feed: each of these is a mistake that somebody made somewhere."""

    cursor_is_id: bool = False
    """The cursor is the row's id, from a sequence: what commits late is lost."""
    no_level_before: bool = False
    """Nothing tells whether the caller could see the record before: nothing is ever withdrawn."""
    first_change_only: bool = False
    """Only the first change on the page is asked whether the caller could see the record before."""
    no_uid: bool = False
    """The cursor is the number alone: a restored server is not noticed."""
    no_horizon: bool = False
    """The cursor does not say how much more its holder knows: a server restored to just before that is not noticed."""


def statement(audience: Audience, wrong: Wrong) -> str:
    """Return the statement of a page, made wrong as wanted."""
    sql = queries.entries_sql(audience)
    seq = queries.seq_of(audience)
    if wrong.cursor_is_id:
        begin, _, end = sql.partition("), page AS (")
        sql = (
            begin.replace(f"{seq} AS seq", "id AS seq")
            .replace(f"SELECT {seq} FROM", "SELECT id FROM")
            .replace(f"{seq} >", "id >")
            .replace(f"{seq} <", "id <")
            .replace(f"ORDER BY {seq}", "ORDER BY id")
            + "), page AS ("
            + end.replace(f"{seq} AS seq, uid FROM changes", "id AS seq, uid FROM changes").replace(
                f"ORDER BY {seq} DESC", "ORDER BY id DESC"
            )
        )
    if wrong.no_level_before:
        sql = sql.replace("bool_or(had) OVER (PARTITION BY record_id)", "false")
    if wrong.first_change_only:
        sql = sql.replace(
            "bool_or(had) OVER (PARTITION BY record_id)", "first_value(had) OVER (PARTITION BY record_id ORDER BY seq)"
        )
    assert (sql == queries.entries_sql(audience)) == (wrong in (Wrong(), Wrong(no_uid=True), Wrong(no_horizon=True))), (
        "the mutant must differ"
    )
    return sql


@dataclass
class Partner:
    """One mirror: what it holds, and where it is."""

    audience: Audience
    seq: int = 0
    uid: UUID | None = None
    horizon: Head = field(default_factory=Head)
    records: dict[str, Any] = field(default_factory=dict)


class Machine:
    """Three writers, a sequencer, a reader for each audience, and a backup, on one database."""

    def __init__(self, site: Site) -> None:
        """Remember the database; `connect` opens it."""
        self.site = site

    async def connect(self) -> None:
        """Log in as those who write, number and read."""

        async def login(role: str) -> asyncpg.Connection:
            name = f"chronika_{role}"
            return await asyncpg.connect(
                self.site.url, user=name, password=role_password(SECRET.encode(), name), timeout=10
            )

        self.owner = await asyncpg.connect(self.site.url)
        self.writers = [await login("editor") for _ in range(3)]
        for writer in self.writers:
            await writer.execute("SET lock_timeout = '1ms'; SET idle_in_transaction_session_timeout = 0")
        self.feed = await login("feed")
        self.readers = {a: await login(a.value) for a in AUDIENCES}

    async def close(self) -> None:
        """Log out."""
        for connection in (self.owner, self.feed, *self.writers, *self.readers.values()):
            await connection.close()

    async def begin(self, wrong: Wrong) -> None:
        """Empty the registry."""
        self.wrong = wrong
        self.open: list[Any] = [None] * 3
        self.partners = {a: Partner(a) for a in AUDIENCES}
        self.count = 0
        self.ids = [UUID(int=1), UUID(int=2)]
        self.backup: list[Any] | None = None
        await self.empty()

    async def empty(self) -> None:
        """Delete everything without a trace; faster than TRUNCATE, which makes new files."""
        await self.owner.execute(
            "SET session_replication_role = replica; "
            + "".join(f"DELETE FROM {t}; " for t in TABLES)
            + "SET session_replication_role = DEFAULT"
        )

    async def write(self, writer: int, record: int, level: int) -> None:
        """Write a record in a writer's open transaction: made, or given a new level and content."""
        self.count += 1
        await self.execute(
            writer,
            "INSERT INTO persons (id, origin, origin_id, level, publication_ground, summary) "
            "VALUES ($1, 'x', $1::uuid::text, $2, 'consent', $3) "
            "ON CONFLICT (id) DO UPDATE SET level = excluded.level, summary = excluded.summary",
            self.ids[record],
            level,
            f"text {self.count}",
        )

    async def delete(self, writer: int, record: int) -> None:
        """Delete a record in a writer's open transaction."""
        await self.execute(writer, "DELETE FROM persons WHERE id = $1", self.ids[record])

    async def merge(self, writer: int, record: int) -> None:
        """Make one record of the two, in a writer's open transaction, as the route does."""
        await self.execute(writer, "SELECT merge_persons($1, $2)", self.ids[record], self.ids[1 - record])

    async def unmerge(self, writer: int, record: int) -> None:
        """Take a merge back."""
        await self.execute(writer, "SELECT unmerge_persons($1)", self.ids[record])

    async def execute(self, writer: int, sql: str, *arguments: Any) -> None:
        """Run a statement in a writer's open transaction, rolled back where it is refused or the record is locked."""
        connection = self.writers[writer]
        if self.open[writer] is None:
            self.open[writer] = connection.transaction()
            await self.open[writer].start()
        try:
            refused = await connection.fetchval(sql, *arguments) is False  # a merge that would show something
        except (asyncpg.LockNotAvailableError, asyncpg.NoDataFoundError):
            refused = True
        except asyncpg.PostgresError as error:
            if error.sqlstate != "CH410":
                raise
            # Deleted for good: who comes next is another.
            self.ids = [UUID(int=i.int + 2) if i == arguments[0] else i for i in self.ids]
            refused = True
        if refused:
            await self.end(writer, commit=False)

    async def end(self, writer: int, *, commit: bool) -> None:
        """Commit or roll back what a writer has open."""
        transaction, self.open[writer] = self.open[writer], None
        if transaction is not None:
            with contextlib.suppress(asyncpg.LockNotAvailableError):
                await (transaction.commit() if commit else transaction.rollback())

    async def number(self) -> None:
        """Number what is committed."""
        await self.feed.fetchrow(queries.NUMBER)

    async def _fetch(self, audience: Audience, sql: str, *arguments: Any) -> list[Any]:
        """Read as the audience's login; a mutant that needs a column which no reader may name reads it as the owner."""
        if not self.wrong.cursor_is_id or "FROM changes" not in sql:
            return await self.readers[audience].fetch(sql, *arguments)
        if audience is not Audience.EDITOR:  # the owner is not held back by the policies
            entitled = f"FROM (SELECT * FROM changes WHERE had_{audience.value} IS NOT NULL) c\n"
            sql = sql.replace("FROM changes\n", entitled)
        return await self.owner.fetch(sql, *arguments)

    async def poll(self, audience: Audience, limit: int, *, crash: bool = False) -> bool:
        """Read one page and store it, unless the partner crashes first; true if there is more."""
        partner = self.partners[audience]
        page = await read_page(
            partial(self._fetch, audience),
            audience,
            partner.seq,
            limit=limit,
            types=TYPES,
            excluded=None,
            horizon=partner.horizon.seq,
            window=WINDOW,
            entries=partial(statement, wrong=self.wrong),
        )
        if crash:
            return True
        diverged = partner.seq and page.checked["here"] != partner.uid
        beyond = partner.horizon.seq and not self.wrong.no_horizon
        diverged = diverged or (beyond and page.checked["there"] != partner.horizon.uid)
        if diverged and not self.wrong.no_uid and not self.wrong.cursor_is_id:
            await self.resync(partner)
            return True
        for item in map(json.loads, page.items):
            if item["op"] == "upsert":
                assert item["data"]["level"] in ("public", "partner", "restricted")[: AUDIENCES[audience] + 1]
                partner.records[item["id"]] = item["data"]
            else:
                partner.records.pop(item["id"], None)
            if item["op"] == "merge":
                assert item["into"] in await self.seen(audience), "it names a record that its reader may not see"
        partner.seq, partner.uid = page.end
        partner.horizon = heads_of(await self.feed.fetchrow(queries.NUMBER))[audience]
        return page.lag is not None

    async def seen(self, audience: Audience) -> dict[str, Any]:
        """Return what a caller may see now."""
        sql = queries.items_sql(PERSONS, audience)
        every = [r["id"] for r in await self.owner.fetch("SELECT id FROM persons")]
        rows = await self.readers[audience].fetch(sql, every)
        return {i["id"]: i["data"] for r in rows for i in [json.loads(r[1])]}

    async def resync(self, partner: Partner) -> None:
        """Begin again, as a 410 tells to."""
        async with self.readers[partner.audience].transaction(isolation="repeatable_read"):
            head = await self.readers[partner.audience].fetchrow(queries.head_sql(partner.audience))
            assert head is not None
            partner.seq, partner.uid = head["seq"], head["uid"]
            partner.records = await self.seen(partner.audience)
        partner.horizon = heads_of(await self.feed.fetchrow(queries.NUMBER))[partner.audience]

    async def save(self) -> None:
        """Take a backup of what is committed."""
        self.backup = [await self.owner.fetch(f"SELECT t::text FROM {table} t") for table in TABLES]

    async def restore(self) -> None:
        """Put the backup back, as after the loss of the server: open transactions are lost with it."""
        if self.backup is None:
            return
        for writer in range(3):
            await self.end(writer, commit=False)
        await self.empty()
        async with self.owner.transaction():
            await self.owner.execute("SET LOCAL session_replication_role = replica")
            for table, rows in zip(TABLES, self.backup, strict=True):
                for row in rows:
                    columns = "OVERRIDING SYSTEM VALUE " if table in {"changes", "merges"} else ""
                    await self.owner.execute(
                        f"INSERT INTO {table} {columns}SELECT (x).* FROM (SELECT $1::text::{table} AS x) s",
                        row[0],
                    )

    async def finish(self) -> None:
        """Commit everything, read to the end, and compare."""
        for writer in range(3):
            await self.end(writer, commit=True)
        await self.number()
        for audience, partner in self.partners.items():
            for _ in range(200):
                if not await self.poll(audience, 2):
                    break
            assert partner.records == await self.seen(audience), f"the mirror of {audience.value} is wrong"

    async def run(self, steps: list[tuple[Any, ...]], wrong: Wrong) -> None:
        """Run one interleaving."""
        await self.begin(wrong)
        try:
            for name, *arguments in steps:
                if name == "put":  # written, committed and numbered at once
                    await self.write(*arguments)
                    await self.end(arguments[0], commit=True)
                    await self.number()
                elif name == "poll":
                    audience, limit, crash = arguments
                    await self.poll(audience, limit, crash=crash)
                elif name == "end":
                    writer, commit = arguments
                    await self.end(writer, commit=commit)
                else:
                    await getattr(self, name)(*arguments)
            await self.finish()
        finally:
            for writer in range(3):
                await self.end(writer, commit=False)


_writer, _record, _level = st.integers(0, 2), st.integers(0, 1), st.integers(0, 2)
STEP = st.one_of(
    st.tuples(st.just("put"), _writer, _record, _level),
    st.tuples(st.just("put"), _writer, st.just(0), _level),
    st.tuples(st.just("write"), _writer, _record, _level),
    st.tuples(st.just("end"), _writer, st.sampled_from([True, True, False])),
    st.tuples(st.just("number")),
    st.tuples(
        st.just("poll"), st.sampled_from(list(AUDIENCES)), st.integers(1, 3), st.sampled_from([False, False, True])
    ),
    st.tuples(st.sampled_from(["delete", "merge", "unmerge"]), _writer, _record),
    st.tuples(st.sampled_from(["save", "restore"])),
)
STEPS = st.lists(STEP, min_size=8, max_size=30)


@pytest.fixture(scope="module")
def machine(server_url: str) -> Iterator[tuple[asyncio.Runner, Machine]]:
    """Give the machine on a database of its own, and the loop that its connections belong to."""
    made = Machine(make_site(server_url, "machine"))
    with asyncio.Runner() as runner:
        runner.run(made.connect())
        yield runner, made
        runner.run(made.close())


def explore(machine: tuple[asyncio.Runner, Machine], wrong: Wrong, examples: int) -> None:
    """Let hypothesis look for an interleaving in which a mirror is wrong."""
    runner, made = machine

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,) if wrong != Wrong() else (Phase.generate, Phase.shrink),
    )
    @given(STEPS)
    def interleave(steps: list[tuple[Any, ...]]) -> None:
        runner.run(made.run(steps, wrong))

    interleave()


def test_each_mirror_equals_what_its_caller_may_see(machine: tuple[asyncio.Runner, Machine]) -> None:
    explore(machine, Wrong(), 150)


@pytest.mark.full
def test_each_mirror_equals_what_its_caller_may_see_in_thousands_of_interleavings(
    machine: tuple[asyncio.Runner, Machine],
) -> None:
    explore(machine, Wrong(), 4000)


MUTANTS = {
    "a sequence as cursor": Wrong(cursor_is_id=True),
    "no level before": Wrong(no_level_before=True),
    "only the first change": Wrong(first_change_only=True),
    "a cursor without uid": Wrong(no_uid=True),
    "a cursor without horizon": Wrong(no_horizon=True),
}

POLL = ("poll", Audience.PUBLIC)
SHOWN, HIDDEN, OTHER = ("put", 0, 0, 0), ("put", 0, 0, 2), ("put", 0, 1, 0)
CAUGHT: dict[str, list[tuple[Any, ...]]] = {
    # The first to write is the last to commit, after the other was read.
    "a sequence as cursor": [("write", 1, 0, 0), OTHER, (*POLL, 3, False), ("end", 1, True)],
    "no level before": [SHOWN, (*POLL, 1, False), HIDDEN],
    # The first two are read while it is visible; then it is hidden: shown and hidden stand on one page.
    "only the first change": [SHOWN, HIDDEN, SHOWN, (*POLL, 2, False), HIDDEN],
    # What was read after the backup is lost, and its number goes to something else.
    "a cursor without uid": [
        *(SHOWN, ("save",), OTHER, (*POLL, 3, False)),
        *(("restore",), ("put", 0, 0, 1)),
    ],
    # The second version was seen at the place of the first; the backup has the first alone.
    "a cursor without horizon": [
        *(SHOWN, ("save",), ("write", 0, 0, 0), ("end", 0, True)),
        *((*POLL, 3, False), ("restore",)),
    ],
}
"""For each mutant an interleaving in which it goes wrong."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_feed_is_caught_where_the_right_one_is_not(machine: tuple[asyncio.Runner, Machine], name: str) -> None:
    runner, made = machine
    runner.run(made.run(CAUGHT[name], Wrong()))
    with pytest.raises(AssertionError, match="the mirror of"):
        runner.run(made.run(CAUGHT[name], MUTANTS[name]))


@pytest.mark.full
@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_feed_is_found_out_by_search(machine: tuple[asyncio.Runner, Machine], name: str) -> None:
    with pytest.raises(AssertionError, match="the mirror of"):
        explore(machine, MUTANTS[name], 2000)
