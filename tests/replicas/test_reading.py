"""Reads on a real standby: who answers which request, how old an answer may be, and what happens when it fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from app.core import replicas, servers
from app.core.records import Audience
from app.core.replicas import POSITION, reading
from tests.conftest import EMPTIED, Api, Site, _serve
from tests.factories import MINIMAL, PUBLIC, make
from tests.standby import ask, caught_up, kill, standby_of, until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def standby_url(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a standby of this worker's server."""
    with standby_of(site.url, tmp_path_factory.mktemp("standby")) as url:
        yield url


@dataclass
class Pair:
    """The application on a primary and a standby."""

    api: Api
    primary: str
    standby: str

    async def settled(self) -> None:
        """Wait until the standby has everything, and the application knows."""
        await caught_up(self.primary, self.standby)
        await self.look()

    async def look(self) -> None:
        """Have the application look at its servers now."""
        known = self.api.app.state.database.servers
        known._looked = float("-inf")
        await known.current()

    @asynccontextmanager
    async def held_back(self) -> AsyncIterator[None]:
        """Let the standby replay nothing meanwhile."""
        await ask(self.standby, "SELECT pg_wal_replay_pause()")
        await until(self.standby, "SELECT pg_get_wal_replay_pause_state()", "paused")
        try:
            yield
        finally:
            await ask(self.standby, "SELECT pg_wal_replay_resume()")

    async def write(self, title: str) -> tuple[str, str]:
        """Record something public and return its path and the position of the answer."""
        answer = await self.api.editor.post("/v1/sources", json={**MINIMAL["sources"], **PUBLIC, "title": title})
        assert answer.status_code == 201, answer.text
        return answer.headers["location"], answer.headers[POSITION]


@pytest.fixture
async def pair(site: Site, standby_url: str, owner: asyncpg.Connection) -> AsyncIterator[Pair]:
    """Give the application on an empty registry with a standby that has caught up."""
    async for api in _serve(replace(site, read_url=standby_url)):
        given = Pair(api, site.url, standby_url)
        await given.settled()
        yield given
    await owner.execute(f"TRUNCATE {EMPTIED} CASCADE")
    await caught_up(site.url, standby_url)


async def test_who_only_reads_is_answered_by_the_standby(pair: Pair) -> None:
    old, _ = await pair.write("on both")
    await pair.settled()
    async with pair.held_back():
        new, _ = await pair.write("on the primary alone")
        for client in (pair.api.public, pair.api.partner, pair.api.editor, pair.api.guardian):
            assert (await client.get(old)).status_code == 200
            assert (await client.get(new)).status_code == 404, "the standby has not got it yet"
            assert (await client.head(new)).status_code == 404
    await pair.settled()
    assert (await pair.api.public.get(new)).status_code == 200


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/v1/sources?count=exact", lambda a: a.json()["count"]),
        ("/v1/sources/export", lambda a: len(a.text.splitlines())),
        ("/v1/snapshot", lambda a: len(a.text.splitlines())),
        ("/v1/digest?type=source", lambda a: a.json()["buckets"]),
        ("/v1/status", lambda a: a.json()["records"]),
        ("/v1/statistics/events?from=2024-01-01&to=2025-01-01", lambda a: a.json()["total"]["value"]),
    ],
)
async def test_every_kind_of_reading_is_the_standbys(
    pair: Pair, path: str, seen: Callable[[httpx.Response], object]
) -> None:
    before = seen(await pair.api.public.get(path))
    async with pair.held_back():
        await make(pair.api.editor, "events", date="2024-05-01")
        _, position = await pair.write("later")
        stale = await pair.api.public.get(path)
        fresh = await pair.api.public.get(path, headers={POSITION: position})
    assert stale.status_code == fresh.status_code == 200, stale.text
    assert seen(stale) == before != seen(fresh)


async def test_what_was_written_is_read_with_its_position(pair: Pair) -> None:
    async with pair.held_back():
        path, position = await pair.write("mine")
        began = time.monotonic()
        answer = await pair.api.public.get(path, headers={POSITION: position})
        assert answer.status_code == 200, "the standby lacks it, so the primary answers"
        assert time.monotonic() - began < 1, "it waits a moment for the standby, no longer"


async def test_a_position_that_the_standby_has_is_answered_by_the_standby(pair: Pair) -> None:
    mine, position = await pair.write("mine")
    await caught_up(pair.primary, pair.standby)  # the application has not looked since: it asks the standby itself
    async with pair.held_back():
        theirs, _ = await pair.write("somebody else's")
        assert (await pair.api.public.get(mine, headers={POSITION: position})).status_code == 200
        assert (await pair.api.public.get(theirs, headers={POSITION: position})).status_code == 404


async def test_a_writer_that_sends_its_position_back_always_finds_what_it_wrote(pair: Pair) -> None:
    async def one(n: int) -> None:
        path, position = await pair.write(f"number {n}")
        etag = ""
        for turn in range(3):
            answer = await pair.api.editor.get(path, headers={POSITION: position})
            assert answer.status_code == 200
            assert answer.headers["etag"] != etag, "what came back is the last version"
            etag = answer.headers["etag"]
            patch = {"title": f"number {n}, {turn}"}
            changed = await pair.api.editor.patch(path, json=patch, headers={"If-Match": etag})
            assert changed.status_code == 200, changed.text
            position = changed.headers[POSITION]

    await asyncio.gather(*(one(n) for n in range(12)))


FOREIGN = pytest.param(replicas.write_position(1, b"another secret"), id="sealed by another")


@pytest.mark.parametrize("given", ["", "x", "AAAA", "é", "0/3000148", FOREIGN])
async def test_a_position_that_cannot_be_read_is_answered_by_the_primary(pair: Pair, given: str) -> None:
    async with pair.held_back():
        path, _ = await pair.write("mine")
        assert (await pair.api.public.get(path, headers=[(POSITION.encode(), given.encode())])).status_code == 200


def test_a_position_is_sealed_and_says_nothing() -> None:
    secret = b"a secret of thirty-two characters"
    first, second = (replicas.write_position(0x3000148, secret) for _ in range(2))
    assert first != second, "two of the same place do not look the same: nobody can tell how much was written between"
    assert {replicas.read_position(text, secret) for text in (first, second)} == {0x3000148}
    for at in range(len(first)):
        other = first[:at] + ("A" if first[at] != "A" else "B") + first[at + 1 :]
        assert replicas.read_position(other, secret) is None


async def test_only_what_was_stored_has_a_position(pair: Pair, alone: Api) -> None:
    refused = await pair.api.editor.post("/v1/sources", json={"kind": "nonsense"})
    assert refused.status_code == 422
    assert POSITION not in refused.headers
    assert POSITION not in (await pair.api.public.get("/v1/sources")).headers
    answer = await alone.editor.post("/v1/sources", json=MINIMAL["sources"])
    assert answer.status_code == 201
    assert POSITION not in answer.headers, "without standbys there is nothing to wait for"


async def test_the_feed_is_never_older_than_its_cursor(pair: Pair) -> None:
    snapshot = await pair.api.public.get("/v1/snapshot")
    cursor = snapshot.text.partition('"cursor": "')[2].partition('"')[0]
    async with pair.held_back():
        path, _ = await pair.write("new")
        again = (await pair.api.public.get("/v1/snapshot")).text.partition('"cursor": "')[2].partition('"')[0]
        for begun in (cursor, again):
            page = (await pair.api.public.get("/v1/changes", params={"cursor": begun})).json()
            assert [f"/v1/sources/{i['id']}" for i in page["items"]] == [path], "an older snapshot, and what came since"
            end = (await pair.api.public.get("/v1/changes", params={"cursor": page["cursor"], "wait": 0})).json()
            assert (end["items"], end["has_more"]) == ([], False)


async def test_an_answer_is_kept_until_the_standby_has_replayed_the_next_commit(pair: Pair) -> None:
    """A standby's snapshot does not name the transactions that run: what it has replayed tells its moments apart."""
    path, _ = await pair.write("first")
    oldest, middle = await asyncpg.connect(pair.primary), await asyncpg.connect(pair.primary)
    try:
        # The oldest runs on; the one that began after it commits after a third, which began last.
        await oldest.execute("BEGIN; SELECT pg_current_xact_id()")
        await middle.execute("BEGIN")
        await middle.execute("UPDATE sources SET title = 'second' WHERE id::text = $1", path.rpartition("/")[2])
        await pair.write("another")
        titles = []
        for end in ("SELECT", "COMMIT"):
            await middle.execute(end)
            await pair.settled()
            answers = [await client.get(path) for client in 2 * (pair.api.public, pair.api.editor)]
            titles += [a.json()["title"] for a in answers]
        assert titles == ["first"] * 4 + ["second"] * 4
        await oldest.execute("ROLLBACK")
    finally:
        await oldest.close()
        await middle.close()


async def test_a_standby_that_lags_is_passed_over(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "LAG_S", 0.3)
    async with pair.held_back():
        path, _ = await pair.write("hidden soon after")
        (standby,) = pair.api.app.state.database.servers.readers
        while not standby.ahead:
            await pair.look()
        assert (await pair.api.public.get(path)).status_code == 404
        await asyncio.sleep(0.35)
        assert (await pair.api.public.get(path)).status_code == 200, "the primary answers"
    await pair.settled()
    assert standby.up
    assert not standby.lags()


async def test_a_standby_that_dies_is_passed_over_and_used_again_when_it_is_back(pair: Pair) -> None:
    old, _ = await pair.write("old")
    await pair.settled()
    assert (await pair.api.public.get(old)).status_code == 200
    kill(pair.standby)
    for _ in range(20):
        assert (await pair.api.public.get(old)).status_code == 200, "whoever reads does not notice"
    for _ in range(100):  # the embedded server starts its own again
        try:
            await caught_up(pair.primary, pair.standby)
            break
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(0.1)
    await pair.look()
    async with pair.held_back():
        new, _ = await pair.write("new")
        assert (await pair.api.public.get(new)).status_code == 404, "the standby answers again"


async def test_no_standby_at_all_is_the_primary(site: Site, owner: asyncpg.Connection, tmp_path: Path) -> None:
    nobody = f"postgresql://{urlsplit(site.url).path}?host={tmp_path},{tmp_path}&port=5432"
    async for api in _serve(replace(site, read_url=nobody)):
        answer = await api.editor.post("/v1/sources", json={**MINIMAL["sources"], **PUBLIC})
        position = {POSITION: answer.headers[POSITION]}
        for headers in ({}, position):
            assert (await api.public.get(answer.headers["location"], headers=headers)).status_code == 200
        assert (await api.public.get("/v1/snapshot")).status_code == 200
    await owner.execute(f"TRUNCATE {EMPTIED} CASCADE")


async def test_what_replaying_cancels_is_asked_again(pair: Pair, owner: asyncpg.Connection) -> None:
    """PostgreSQL cancels a standby's statement (SQLSTATE 40001) that stands in the way of what it must replay."""
    path, _ = await pair.write("read under difficulties")
    await ask(pair.standby, "ALTER SYSTEM SET max_standby_streaming_delay = 0")
    await ask(pair.standby, "SELECT pg_reload_conf()")
    await pair.settled()
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    other = await asyncpg.connect(pair.primary)
    try:
        held = other.transaction()
        await held.start()
        await other.execute("LOCK TABLE vocabulary_terms IN ACCESS EXCLUSIVE MODE")
        await caught_up(pair.primary, pair.standby)
        # A statement that has `sources` and waits for the other table; replaying a lock on `sources` then cancels it.
        both = "SELECT (SELECT count(*) FROM sources), (SELECT count(*) FROM vocabulary_terms)"
        database = reading(pair.api.app.state.database, None)
        question = asyncio.create_task(database.row(Audience.PUBLIC, both))
        await until(pair.standby, waits, 1)
        await owner.execute("BEGIN; LOCK TABLE sources IN ACCESS EXCLUSIVE MODE; COMMIT")
        await until(pair.standby, waits, 0)
        await until(pair.primary, waits, 1)
        await held.rollback()
        assert tuple(await question) == (1, await owner.fetchval("SELECT count(*) FROM vocabulary_terms"))
    finally:
        await other.close()
        await ask(pair.standby, "ALTER SYSTEM RESET max_standby_streaming_delay")
        await ask(pair.standby, "SELECT pg_reload_conf()")
    assert (await pair.api.public.get(path)).status_code == 200
