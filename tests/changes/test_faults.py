"""The feed over HTTP from real server processes: many writers, PostgreSQL or the API killed in mid-page, restores."""

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app.core.embedded import embedded_server
from app.core.programs import bin_path
from tests.changes.mirror import Mirror
from tests.conftest import SECRET, Server, Site, make_site, start_server
from tests.factories import MINIMAL, PUBLIC

pytestmark = pytest.mark.anyio

LEVELS: list[dict[str, Any]] = [
    PUBLIC,
    {"level": "partner", "publication_ground": None},
    {"level": "restricted", "publication_ground": None},
]
ROWS = {"Content-Type": "application/x-ndjson"}
READERS = {"public": 0, "partner": 1, "editor": 2}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Run a PostgreSQL that may be killed; it keeps what it has acknowledged, and is started again by itself."""
    place = tmp_path_factory.mktemp("faults")
    with embedded_server(place, SECRET.encode()) as url:
        yield place, url


@dataclass
class Run:
    """Writers and readers on one server; what was acknowledged, and when it was delivered."""

    server: Server
    halt: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the writers are to finish."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the readers are to finish, once nothing is left."""
    writes: int = 0
    acknowledged: dict[tuple[str, int], float] = field(default_factory=dict)
    lags: list[float] = field(default_factory=list)
    failures: int = 0
    clients: list[httpx.AsyncClient] = field(default_factory=list)

    @asynccontextmanager
    async def client(self, role: str) -> AsyncIterator[httpx.AsyncClient]:
        headers = self.server.site.headers(role)
        async with httpx.AsyncClient(base_url=self.server.url, headers=headers, timeout=30) as made:
            self.clients.append(made)
            yield made

    async def ask(self, call: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response | None:
        """Ask once; None while the server is away or busy."""
        try:
            answer = await call()
        except httpx.TransportError:
            answer = None
        if answer is None or answer.status_code in (500, 503):
            assert answer is None or answer.status_code == 503, answer.text
            self.failures += 1
            await asyncio.sleep(0.1)
            return None
        return answer

    def acknowledge(self, record_id: str, version: int) -> None:
        self.writes += 1
        self.acknowledged[record_id, version] = time.monotonic()

    async def write(self, number: int, enough: int) -> None:
        """Write singles and bulks, a tenth of them rolled back, until there is enough or it is told to halt."""
        chance, mine = random.Random(number), 0  # noqa: S311 -- no secret
        async with self.client("editor") as client:
            while not self.halt.is_set() and self.writes < enough:
                rows = [self.row(number, mine + n, chance) for n in range(1 if chance.random() < 0.7 else 20)]
                rolled_back = chance.random() < 0.1
                if rolled_back:
                    rows.append({"type": "person", "origin_id": "never", "data": {"sex": "nonsense"}})
                body = "".join(json.dumps(r) + "\n" for r in rows)
                answer = await self.ask(partial(client.post, "/v1/bulk", content=body, headers=ROWS))
                if answer is None:
                    continue
                assert answer.status_code == 200, answer.text
                assert (answer.json()["committed"] == 0) == rolled_back or {
                    r["result"] for r in answer.json()["results"]
                } == {"unchanged"}
                if not rolled_back:
                    for result in answer.json()["results"]:
                        self.acknowledge(result["id"], result["version"])
                    mine += len(rows) // 2  # half of them are written again

    def row(self, writer: int, n: int, chance: random.Random) -> dict[str, Any]:
        data = {**MINIMAL["persons"], **chance.choice(LEVELS), "summary": f"text {chance.random()}"}
        return {"type": "person", "origin": f"writer-{writer}", "origin_id": str(n), "data": data}

    async def follow(self, role: str, limit: int) -> Mirror:
        """Keep a mirror until it is told to stop and nothing is left."""
        chance = random.Random(role)  # noqa: S311
        async with self.client(role) as client:
            mirror = Mirror(client, READERS[role])
            while True:
                try:
                    if not mirror.cursor:
                        await mirror.start()
                    last = self.stop.is_set()
                    keep = chance.random() > 0.1  # now and then a page is lost before it is stored
                    page = await mirror.page(limit, keep=keep, wait=0 if last else 1)
                except httpx.TransportError:
                    mirror.client = client
                    await asyncio.sleep(0.1)
                    continue
                except AssertionError as error:
                    if '"status": 503' not in str(error):
                        raise
                    await asyncio.sleep(0.1)
                    continue
                now = time.monotonic()
                if role == "editor" and keep:
                    items = [(i["id"], i.get("version")) for i in page["items"]]
                    self.lags += [now - self.acknowledged[i] for i in items if i in self.acknowledged]
                if last and keep and not page["has_more"]:
                    return mirror

    async def compare(self, mirrors: list[Mirror]) -> None:
        """Check that each mirror is what its caller may see now, and that every acknowledged record is in the last."""
        for role, mirror in zip(READERS, mirrors, strict=True):
            async with self.client(role) as client:
                fresh = Mirror(client, READERS[role])
                await fresh.start()
                assert mirror.records == fresh.records, role
        missing = {record for record, _ in self.acknowledged} - mirrors[-1].records.keys()
        assert not missing, "what was acknowledged is there"


async def serve(server_url: str, name: str) -> Server:
    """Start the service on a database of its own."""
    return await asyncio.to_thread(lambda: start_server(make_site(server_url, name)))


async def end(tasks: list[Any], server: Server) -> None:
    """Leave nothing running, whatever happened."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    server.process.terminate()
    await asyncio.to_thread(server.process.wait, 30)


async def stress(server_url: str, name: str, writers: int, changes: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Write and read at once, also while an unrelated write transaction is held open for 5 s; nothing may be lost."""
    server = await serve(server_url, name)
    run = Run(server)
    try:
        readers = [
            asyncio.create_task(run.follow(role, limit)) for role, limit in zip(READERS, (7, 50, 1000), strict=True)
        ]
        begun = time.monotonic()
        writing = [asyncio.create_task(run.write(n, changes)) for n in range(writers)]
        unrelated = await asyncpg.connect(server.site.url)
        held = unrelated.transaction()
        await held.start()
        await unrelated.execute("INSERT INTO rates VALUES ('x', 'X', 'X', '2024-01-01', 1, 'x')")
        await asyncio.sleep(5)
        seen, before = len(run.lags), run.writes
        await held.rollback()
        await unrelated.close()
        await asyncio.gather(*writing)
        seconds = time.monotonic() - begun
        run.stop.set()
        await run.compare(await asyncio.gather(*readers))
    finally:
        await end([*readers, *writing], server)
    lags = sorted(run.lags)
    assert seen > before / 4, "the feed went on while another transaction was open"
    with capsys.disabled():
        print(  # noqa: T201 -- a measurement
            f"\n{run.writes} changes by {writers} writers, {run.writes / seconds:.0f}/s, 0 lost; lag p50 "
            f"{lags[len(lags) // 2] * 1000:.0f} ms, p99 {lags[int(len(lags) * 0.99)] * 1000:.0f} ms"
        )


async def test_nothing_is_lost_under_many_writers(server_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    await stress(server_url, "stress", 4, 600, capsys)


@pytest.mark.full
async def test_nothing_is_lost_in_a_hundred_thousand_changes(
    server_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await stress(server_url, "stress_full", 16, 100_000, capsys)


def postmaster(place: Path) -> int | None:
    """Return the process id of the server there; None while its file is not whole."""
    with suppress(FileNotFoundError, IndexError, ValueError):
        return int((place / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    return None


async def kills(cluster: tuple[Path, str], name: str, rounds: int) -> None:
    """Kill PostgreSQL and the API by turns while it is written and read; delivered must be what is stored."""
    place, url = cluster
    server = await serve(url, name)
    run = Run(server)
    chance = random.Random(7)  # noqa: S311
    readers: list[asyncio.Task[Mirror]] = []
    writing: list[asyncio.Task[None]] = []
    try:
        readers = [asyncio.create_task(run.follow(role, 5)) for role in READERS]
        writing = [asyncio.create_task(run.write(n, 10**9)) for n in range(4)]
        for turn in range(rounds):
            await asyncio.sleep(0.5 + chance.random())
            before, killed = run.writes, None
            if turn % 2:
                server.process.kill()
                server.process.wait(30)
                server = run.server = await asyncio.to_thread(start_server, server.site)
                for client in run.clients:
                    client.base_url = server.url
            else:
                killed = postmaster(place)
                assert killed is not None
                os.kill(killed, signal.SIGKILL)
            for _ in range(600):
                await asyncio.sleep(0.1)
                if postmaster(place) in {killed, None}:
                    before = run.writes  # by its children, which end what they had begun: it does not serve again yet
                elif run.writes > before + 5:
                    break
            else:
                pytest.fail("it does not serve again within a minute")
        # Let each finish its request: one that is broken off here may be committed there, after the readers are done.
        run.halt.set()
        await asyncio.gather(*writing)
        run.stop.set()
        await run.compare(await asyncio.gather(*readers))
        assert run.failures, "the kills were felt"
    finally:
        await end([*readers, *writing], server)


async def test_kills_in_mid_page_lose_nothing(cluster: tuple[Path, str]) -> None:
    await kills(cluster, "killed", 2)


@pytest.mark.full
async def test_eight_kills_in_mid_page_lose_nothing(cluster: tuple[Path, str]) -> None:
    await kills(cluster, "killed_full", 8)


async def test_every_page_twice_and_yesterdays_cursor_give_the_same_mirror(server_url: str) -> None:
    server = await serve(server_url, "replay")
    try:
        run = Run(server)
        async with run.client("public") as client:
            mirror = Mirror(client, 0)
            await mirror.start()
            await run.write(1, 150)
            yesterday = Mirror(client, 0)
            yesterday.cursor = mirror.cursor
            await mirror.drain(20)
            for page in mirror.pages:
                mirror.versions.clear()
                for item in [*page["items"], *page["items"]]:
                    mirror.apply(item)
            again = Mirror(client, 0)
            again.cursor = mirror.pages[len(mirror.pages) // 2]["cursor"]
            again.records = dict(mirror.records)
            await again.drain(3)
            await yesterday.drain(1000)
            fresh = Mirror(client, 0)
            await fresh.start()
            assert yesterday.records == again.records == fresh.records
            assert mirror.records.keys() == fresh.records.keys()
    finally:
        server.process.terminate()
        server.process.wait(30)


async def test_who_waits_for_a_change_does_not_keep_the_server_from_stopping(server_url: str) -> None:
    server = await serve(server_url, "stopped")
    try:
        async with Run(server).client("editor") as client:
            mirror = Mirror(client, 2)
            await mirror.start()
            waiting = asyncio.create_task(mirror.page(wait=30))
            await asyncio.sleep(1)
            assert not waiting.done()
            begun = time.monotonic()
            server.process.terminate()
            page = await waiting
            await asyncio.to_thread(server.process.wait, 30)
            assert (page["items"], page["has_more"]) == ([], False)
            assert time.monotonic() - begun < 10
    finally:
        await end([], server)


def program(name: str, *arguments: str, given: bytes = b"") -> bytes:
    """Run one of PostgreSQL's programs and return what it writes."""
    command = [str(bin_path(name)), *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=True, timeout=60).stdout


async def test_a_restored_dump_goes_on_exactly_or_says_that_it_cannot(cluster: tuple[Path, str]) -> None:
    _, url = cluster
    server = await serve(url, "dumped")
    site = server.site
    try:
        run = Run(server)
        async with run.client("partner") as client:
            early, late = Mirror(client, 1), Mirror(client, 1)
            await run.write(1, 60)
            await early.start()
            await run.write(2, 120)
            dump = await asyncio.to_thread(program, "pg_dump", "--format=custom", site.url)
            await run.write(3, 180)
            await late.start()
    finally:
        server.process.terminate()
        server.process.wait(30)
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE DATABASE restored")
    await connection.close()
    restored = Site(url.replace("@/chronika?", "@/restored?"), site.keys)
    await asyncio.to_thread(program, "pg_restore", "--dbname", restored.url, given=dump)
    owner = await asyncpg.connect(restored.url)
    database = "restored"
    roles = "chronika_public, chronika_partner, chronika_editor, chronika_guardian, chronika_auth, chronika_feed"
    await owner.execute(f"GRANT CONNECT ON DATABASE {database} TO {roles}; GRANT USAGE ON SCHEMA public TO {roles}")
    await owner.close()
    server = await asyncio.to_thread(start_server, restored)
    try:
        run = Run(server)
        async with run.client("partner") as client:
            early.client = late.client = client
            await run.write(4, 60)
            answer = await client.get("/v1/changes", params={"cursor": late.cursor})
            assert (answer.status_code, answer.json()["type"]) == (410, "/problems/feed-diverged")
            await early.drain(7)
            fresh = Mirror(client, 1)
            await fresh.start()
            assert early.records == fresh.records
    finally:
        server.process.terminate()
        server.process.wait(30)
