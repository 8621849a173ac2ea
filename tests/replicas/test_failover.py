"""The primary is lost and a standby promoted: writes resume by themselves, and the feed goes on exactly or says 410."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from app.core import keys, schema, servers
from app.core.replicas import POSITION
from tests.changes.mirror import Mirror
from tests.conftest import SECRET, Api, Site, _serve, start_server
from tests.factories import MINIMAL, PUBLIC
from tests.standby import ask, caught_up, copy, kill, running, socket_of, standby_of, until

pytestmark = pytest.mark.anyio


@dataclass
class Cluster:
    """A primary of its own, a copy of this worker's server, with a hot standby."""

    site: Site
    primary: str
    standby: str
    ends: ExitStack = field(default_factory=ExitStack)
    """Ends the primary's supervision, which would start it again."""

    async def lose_the_primary(self) -> None:
        """Kill the primary, for good."""
        await asyncio.to_thread(kill, self.primary)
        await asyncio.to_thread(self.ends.close)

    async def cut_off(self) -> None:
        """Let the standby receive nothing any more."""
        await ask(self.standby, "ALTER SYSTEM SET primary_conninfo = ''")
        await ask(self.standby, "SELECT pg_reload_conf()")
        await until(self.standby, "SELECT count(*) FROM pg_stat_wal_receiver", 0)

    async def promote(self) -> None:
        """Make the standby take writes."""
        assert await ask(self.standby, "SELECT pg_promote()")


def together(*urls: str) -> str:
    """Return one URL that names the servers of all, in the same order."""
    head, _, _ = urls[0].partition("?")
    return f"{head}?host={','.join(quote(str(socket_of(u)), safe='') for u in urls)}&port=5432"


@contextmanager
def clustered(site: Site, place: Path) -> Iterator[Cluster]:
    """Run a primary and a standby; the service is told of both, as servers to write to and to read from."""
    with ExitStack() as ends:
        primary = ends.enter_context(running(copy(site.url, place / "primary"))).replace("@/chronika?", "@/tests?")
        with standby_of(primary, place / "standby") as standby:
            both = together(standby, primary)  # the order says nothing
            yield Cluster(replace(site, url=both, read_url=both), primary, standby, ends)


@pytest.fixture
def cluster(site: Site, tmp_path: Path) -> Iterator[Cluster]:
    """Give a primary with a standby, both of which may be killed."""
    with clustered(site, tmp_path) as made:
        yield made


@pytest.fixture
async def served(cluster: Cluster) -> AsyncIterator[Api]:
    """Give the application on that cluster."""
    async for api in _serve(cluster.site):
        yield api


async def write(client: httpx.AsyncClient, title: str) -> httpx.Response:
    return await client.post("/v1/sources", json={**MINIMAL["sources"], **PUBLIC, "title": title})


async def written(client: httpx.AsyncClient, title: str) -> str:
    answer = await write(client, title)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"].rpartition("/")[2]


async def resumed(client: httpx.AsyncClient, title: str, within: float = 10) -> str:
    """Write until it is taken and return the id; whatever is not is told to come back."""
    began = time.monotonic()
    while True:
        answer = await write(client, title)
        if answer.status_code == 201:
            return answer.headers["location"].rpartition("/")[2]
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"]
        assert time.monotonic() - began < within, "writes did not resume"
        await asyncio.sleep(0.1)


async def drained(mirror: Mirror) -> list[str]:
    """Read the feed to its end and return the ids of what came, in order."""
    found: list[str] = []
    while True:
        page = await mirror.page()
        found += [i["id"] for i in page["items"]]
        if not page["has_more"]:
            return found


async def test_the_service_goes_on_when_its_primary_dies_and_a_standby_is_promoted(cluster: Cluster) -> None:
    server = await asyncio.to_thread(start_server, cluster.site, "--workers", "1")
    try:
        async with (
            httpx.AsyncClient(base_url=server.url, headers=cluster.site.headers("editor"), timeout=30) as editor,
            httpx.AsyncClient(base_url=server.url, timeout=30) as public,
        ):
            mirror = Mirror(public, 0)
            await mirror.start()
            before = [await written(editor, f"before {n}") for n in range(5)]
            assert await drained(mirror) == before
            more = [await written(editor, f"not yet read {n}") for n in range(5)]
            await caught_up(cluster.primary, cluster.standby)

            await cluster.lose_the_primary()
            for _ in range(5):
                refused = await write(editor, "to nobody")
                assert refused.status_code == 503, refused.text
                assert refused.headers["retry-after"]
                seen = await public.get(f"/v1/sources/{before[0]}")
                assert seen.status_code == 200, "what is public is read on"
            assert (await public.get("/livez")).status_code == 200

            await cluster.promote()
            after = await resumed(editor, "after")
            assert await drained(mirror) == [*more, after], "the old cursor goes on, exactly"
            assert (await public.get(f"/v1/sources/{after}")).status_code == 200
            count = (await public.get("/v1/sources?count=exact&limit=1")).json()["count"]
            assert count == len(before) + len(more) + 1
            assert server.process.poll() is None, "and it was never restarted"
    finally:
        server.process.terminate()
        await asyncio.to_thread(server.process.wait, 30)


async def test_a_promoted_standby_that_lost_the_tail_is_noticed_by_cursors(cluster: Cluster, served: Api) -> None:
    early = Mirror(served.public, 0)
    await early.start()
    kept = [await written(served.editor, f"kept {n}") for n in range(3)]
    assert await drained(early) == kept  # numbers them: the standby has the numbers too
    await caught_up(cluster.primary, cluster.standby)
    await cluster.cut_off()

    late = Mirror(served.public, 0)
    late.cursor = early.cursor
    lost = [await write(served.editor, f"lost {n}") for n in range(2)]
    assert {a.status_code for a in lost} == {201}
    assert len(await drained(late)) == 2
    await cluster.lose_the_primary()
    await cluster.promote()

    refused = await served.public.get("/v1/changes", params={"cursor": late.cursor})
    while refused.status_code == 503:
        await asyncio.sleep(0.1)
        refused = await served.public.get("/v1/changes", params={"cursor": late.cursor})
    assert (refused.status_code, refused.json()["type"]) == (410, "/problems/feed-diverged")
    new = [await resumed(served.editor, f"new {n}") for n in range(3)]  # which take the numbers of the lost
    refused = await served.public.get("/v1/changes", params={"cursor": late.cursor})
    assert (refused.status_code, refused.json()["type"]) == (410, "/problems/feed-diverged")
    assert refused.json()["snapshot"] == "/v1/snapshot"
    assert await drained(early) == new, "a cursor from before the loss goes on, exactly"
    # A position of the lost tail is one that nobody will reach: the primary answers.
    answer = await served.public.get(f"/v1/sources/{new[-1]}", headers={POSITION: lost[-1].headers[POSITION]})
    assert answer.status_code == 200


async def test_numbers_that_were_lost_are_given_again_and_noticed(cluster: Cluster, served: Api) -> None:
    """The records have reached the standby, their numbers have not: it numbers them anew, perhaps otherwise."""
    early = Mirror(served.public, 0)
    await early.start()
    first = await written(served.editor, "numbered on both")
    assert await drained(early) == [first]
    late = Mirror(served.public, 0)
    late.cursor = early.cursor
    both = [await written(served.editor, f"on both, numbered on one {n}") for n in range(3)]
    await caught_up(cluster.primary, cluster.standby)
    await cluster.cut_off()
    only = await written(served.editor, "lost")
    assert await drained(late) == [*both, only]
    await cluster.lose_the_primary()
    await cluster.promote()
    new = await resumed(served.editor, "new")
    refused = await served.public.get("/v1/changes", params={"cursor": late.cursor})
    assert (refused.status_code, refused.json()["type"]) == (410, "/problems/feed-diverged")
    assert await drained(early) == [*both, new]


async def test_of_two_that_take_writes_the_promoted_one_gets_them(
    cluster: Cluster, served: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old primary that came back, or was only believed dead, is written to no more."""
    await written(served.editor, "while there was one")
    await caught_up(cluster.primary, cluster.standby)
    await cluster.promote()
    monkeypatch.setattr(servers, "LOOK_S", 0.05)
    count = "SELECT count(*) FROM sources"
    for _ in range(50):
        await resumed(served.editor, "while there are two")
        await asyncio.sleep(0.1)
        if await ask(cluster.standby, count) != 1:
            break
    else:
        pytest.fail("the promoted one is not found")
    old = await ask(cluster.primary, count)
    found = await written(served.editor, "later")
    assert (await served.public.get(f"/v1/sources/{found}")).status_code == 200
    assert await ask(cluster.primary, count) == old, "nothing more goes into the old one"


async def test_the_command_line_finds_the_primary_among_several(cluster: Cluster) -> None:
    url = cluster.site.url  # the standby stands first
    made = await asyncio.to_thread(lambda: asyncio.run(keys.create(url, "desk", "editor", "desk", timedelta(days=1))))
    assert made.startswith("chr_")
    await asyncio.to_thread(schema.upgrade, url, SECRET.encode())
    await asyncio.to_thread(schema.check, url)
    assert await schema.is_at_head(url, SECRET.encode())
    with pytest.raises(schema.SchemaError, match="each that answers is a standby"):
        await schema.connect_owner(together(cluster.standby, cluster.standby))
