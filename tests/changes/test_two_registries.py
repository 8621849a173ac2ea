"""Two registries as processes that pull from each other while both are edited and either is killed at any moment."""

import asyncio
import os
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
import pytest

from tests.changes.mirror import assert_within
from tests.conftest import SECRET, Server, Site, free_port, make_site, start_server
from tests.factories import MINIMAL, PUBLIC

pytestmark = pytest.mark.anyio

SILENT = re.compile(r"^0 created, 0 updated, 0 removed, \d+ unchanged, 0 refused; the digests are equal$", re.MULTILINE)
KINDS = ("persons", "events", "cases", "places")
HIDDEN: dict[str, Any] = {"level": "restricted", "publication_ground": None}


@dataclass
class Side:
    """One of the two: its database, its server, which keeps its port, and what its editors have made."""

    site: Site
    origin: str
    chance: random.Random
    port: int = field(default_factory=free_port)
    server: Server | None = None
    made: list[tuple[str, str]] = field(default_factory=list)
    written: int = 0
    pulled: int = 0
    killed: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.server = start_server(self.site, port=self.port, origin=self.origin)

    def stop(self, *, kill: bool = False) -> None:
        if self.server is not None:
            (self.server.process.kill if kill else self.server.process.terminate)()
            self.server.process.wait(30)

    async def edit(self, halt: asyncio.Event) -> None:
        """Make, change, hide, show and delete records of its own, whatever becomes of the server meanwhile."""
        async with httpx.AsyncClient(base_url=self.url, headers=self.site.headers("editor"), timeout=30) as client:
            while not halt.is_set():
                try:
                    answer = await self._once(client)
                except httpx.TransportError:
                    await asyncio.sleep(0.2)
                    continue
                assert answer.status_code < 500 or answer.status_code == 503, answer.text
                self.written += answer.is_success
                await asyncio.sleep(0.02)

    async def _once(self, client: httpx.AsyncClient) -> httpx.Response:
        if len(self.made) < 5 or self.chance.random() < 0.4:
            kind = self.chance.choice(KINDS)
            body = {**MINIMAL[kind], **(PUBLIC if self.chance.random() < 0.8 else self._hidden(kind))}
            persons = [i for k, i in self.made if k == "persons"]
            if kind == "events" and persons:
                body["participants"] = [{"person": self.chance.choice(persons), "role": "victim", "level": "public"}]
            answer = await client.post(f"/v1/{kind}", json=body)
            if answer.is_success:
                self.made.append((kind, answer.json()["id"]))
            return answer
        kind, record = self.chance.choice(self.made)
        url = f"/v1/{kind}/{record}"
        what = self.chance.random()
        if what < 0.1:
            return await client.delete(url, headers={"If-Match": "*"})
        fields = self._hidden(kind) if what < 0.3 else {**PUBLIC, **self._text(kind, f"public {self.written}")}
        return await client.patch(url, json=fields, headers={"If-Match": "*"})

    def _hidden(self, kind: str) -> dict[str, Any]:
        """Hide a record, and write into it what the other side must never hold."""
        return {**HIDDEN, **self._text(kind, f"SECRET of {self.origin}")}

    @staticmethod
    def _text(kind: str, text: str) -> dict[str, Any]:
        name = {"persons": "summary", "cases": "summary", "events": "description"}.get(kind)
        return {name: text} if name else {"names": [{"text": text}]}

    async def pull(self, other: "Side", *, kill_after: float | None = None) -> str:
        """Run `chronika pull` and return what it says; it may be killed on its way."""
        environment = {
            **os.environ,
            "CHRONIKA_DATABASE_URL": self.site.url,
            "CHRONIKA_SECRET": SECRET,
            "CHRONIKA_ORIGIN": self.origin,
        }
        command = (sys.executable, "-m", "app", "pull", other.url, "--key", other.site.keys["partner"])
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
        if kill_after is not None:
            await asyncio.sleep(kill_after)
            if process.returncode is None:
                process.kill()
        said, _ = await process.communicate()
        return said.decode()

    async def keep_pulling(self, other: "Side", halt: asyncio.Event) -> None:
        while not halt.is_set():
            await self.pull(other, kill_after=1 + 4 * self.chance.random() if self.chance.random() < 0.4 else None)
            self.pulled += 1


async def killing(sides: list[Side], halt: asyncio.Event, chance: random.Random) -> None:
    """Kill one of the servers now and then, and start it again on its port."""
    while not halt.is_set():
        await asyncio.sleep(2 + 2 * chance.random())
        side = chance.choice(sides)
        await asyncio.to_thread(side.stop, kill=True)
        side.killed += 1
        await asyncio.sleep(chance.random())
        await asyncio.to_thread(side.start)


async def editors_write_for(side: Side) -> None:
    """Have the registry's own keys write for its own origin, as those do that `chronika keys create` makes."""
    connection = await asyncpg.connect(side.site.url)
    await connection.execute("UPDATE keys SET origin = $1", side.origin)
    await connection.close()


@pytest.fixture
def sides(server_url: str, request: pytest.FixtureRequest) -> Iterator[list[Side]]:
    name = request.node.name[-12:].strip("_")
    made = [Side(make_site(server_url, f"{name}_{o}"), o, random.Random(n)) for n, o in enumerate("ab")]  # noqa: S311
    try:
        for side in made:
            asyncio.run(editors_write_for(side))
            side.start()
        yield made
    finally:
        for side in made:
            side.stop()


async def converge(sides: list[Side], writes: int, pulls: int) -> None:
    """Let both write and pull that often at least, and be killed meanwhile; then they must agree, and be silent."""
    a, b = sides
    halt = asyncio.Event()
    tasks = [asyncio.create_task(side.edit(halt)) for side in sides]
    tasks += [asyncio.create_task(one.keep_pulling(other, halt)) for one, other in ((a, b), (b, a))]
    tasks.append(asyncio.create_task(killing(sides, halt, random.Random(3))))  # noqa: S311
    while any(s.written < writes or s.pulled < pulls for s in sides) or not sum(s.killed for s in sides):
        await asyncio.sleep(0.1)
        for task in tasks:
            if task.done():
                await task  # which raises what it died of
    halt.set()
    await asyncio.gather(*tasks)
    said = [await one.pull(other) for _ in range(2) for one, other in ((a, b), (b, a))]
    for line in said[2:]:
        assert SILENT.search(line), "after one round each there is nothing left to bring: " + "".join(said)
    for one, other in ((a, b), (b, a)):
        await holds_what_it_may(one, other)


async def holds_what_it_may(one: Side, other: Side) -> None:
    """Compare what one holds of the other's with what the other shows to partners, and look for its secrets."""
    async with (
        httpx.AsyncClient(base_url=one.url, headers=one.site.headers("editor"), timeout=30) as holder,
        httpx.AsyncClient(base_url=other.url, headers=other.site.headers("partner"), timeout=30) as owner,
    ):
        for kind in KINDS:
            held = {r["origin_id"]: r for r in await everything(holder, kind) if r["origin"] == other.origin}
            shown = {r["origin_id"]: r for r in await everything(owner, kind) if r["origin"] == other.origin}
            assert held.keys() == shown.keys(), kind
            for name, record in held.items():
                assert_within(shown[name], 1)
                for same in ("level", "summary", "description"):
                    assert record.get(same) == shown[name].get(same)
    connection = await asyncpg.connect(one.site.url)
    tables = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    for (table,) in tables:
        found = await connection.fetchval(
            f"SELECT count(*) FROM {table} t WHERE t::text LIKE $1", f"%SECRET of {other.origin}%"
        )
        assert found == 0, table
        if table == "changes":
            assert await connection.fetchval("SELECT count(*) FROM changes t WHERE t::text LIKE '%SECRET of%'") > 0
    await connection.close()


async def everything(client: httpx.AsyncClient, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    url: str | None = f"/v1/{kind}?limit=200"
    while url:
        page = (await client.get(url)).json()
        found += page["items"]
        url = page.get("next")
    return found


async def test_two_registries_converge_and_fall_silent(sides: list[Side]) -> None:
    await converge(sides, 15, 1)


@pytest.mark.full
async def test_two_registries_converge_and_fall_silent_after_many_kills(sides: list[Side]) -> None:
    await converge(sides, 1000, 15)
