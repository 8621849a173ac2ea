"""Pulling: a registry brings another's records here and follows them; two that pull from each other fall silent."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import asyncpg
import httpx
import pytest

from app.core.settings import Settings
from app.exchange import peer as peer_module
from app.exchange.peer import Peer, PullError
from app.exchange.pull import Pull
from app.main import create_app
from tests.conftest import SECRET, Site, make_site
from tests.factories import PUBLIC, make

pytestmark = pytest.mark.anyio


class Registry:
    """One of two registries: its application, its editors, and its pull from the other."""

    def __init__(self, site: Site, origin: str) -> None:
        """Make the application, in this process, on a database of its own."""
        self.site, self.origin = site, origin
        self.app = create_app(Settings(database_url=site.url, secret=SECRET, origin=origin))  # type: ignore[arg-type]
        self.transport = httpx.ASGITransport(app=self.app)
        self.editor = self.client("editor")

    def client(self, role: str) -> httpx.AsyncClient:
        headers = self.site.headers(role)
        return httpx.AsyncClient(transport=self.transport, base_url=f"http://{self.origin}.test", headers=headers)

    def pull(self, other: "Registry", types: list[str] | None = None, *, transport: Any = None) -> Pull:
        key = other.site.keys["partner"]
        peer = Peer(f"http://{other.origin}.test", key, transport or other.transport)
        return Pull(self.app.state.database, self.origin, peer, f"http://{other.origin}.test", types or [])

    async def make(self, resource: str, **fields: Any) -> dict[str, Any]:
        return await make(self.editor, resource, **{"origin": self.origin, **fields})

    async def patch(self, resource: str, record: dict[str, Any], **fields: Any) -> None:
        url = f"/v1/{resource}/{record['id']}"
        answer = await self.editor.patch(url, json=fields, headers={"If-Match": "*"})
        assert answer.status_code == 200, answer.text

    async def holds(self, resource: str) -> list[dict[str, Any]]:
        answer = await self.editor.get(f"/v1/{resource}")
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def position(self) -> int:
        await self.app.state.sequencer.number()
        return int((await self.editor.get("/v1/status")).json()["feed"]["position"])


@pytest.fixture(scope="module")
def sites(server_url: str) -> dict[str, Site]:
    return {origin: make_site(server_url, f"pull_{origin}") for origin in ("a", "b")}


@pytest.fixture
async def two(sites: dict[str, Site]) -> AsyncIterator[tuple[Registry, Registry]]:
    a, b = Registry(sites["a"], "a"), Registry(sites["b"], "b")
    yield a, b
    for registry in (a, b):
        await registry.app.state.database.close()
        owner = await asyncpg.connect(registry.site.url)
        await owner.execute(
            "TRUNCATE places, organisations, sources, statutes, persons, cases, events, statuses, figures, changes, "
            "tombstones, pulls, pulled, feed_acks, proposals, intake CASCADE"
        )
        await owner.close()


async def fill(a: Registry) -> dict[str, dict[str, Any]]:
    """Make records that name each other, some before those they name, an organisation and a source in a circle."""
    top = await a.make("places", code="XX")
    below = [await a.make("places", parent=top["id"]) for _ in range(3)]
    news = await a.make("organisations", place=below[0]["id"])
    source = await a.make("sources", publisher=news["id"])
    await a.patch("organisations", news, citations=[{"source": source["id"]}])
    person = await a.make("persons", citations=[{"source": source["id"]}])
    case = await a.make("cases", court=news["id"], judges=[person["id"]])
    event = await a.make("events", case=case["id"], participants=[{"person": person["id"], "role": "victim"}])
    hidden = await a.make("persons", level="restricted", publication_ground=None)
    statute = await a.make("statutes")
    return {"person": person, "case": case, "event": event, "hidden": hidden, "statute": statute, "place": top}


async def test_everything_that_the_key_may_see_is_brought_and_then_nothing(two: tuple[Registry, Registry]) -> None:
    a, b = two
    made = await fill(a)
    pull = b.pull(a)
    await pull.run()
    assert (pull.counts.created, pull.counts.refused) == (10, 0), str(pull.counts)
    assert await pull.differences() == {}
    (person,) = await b.holds("persons")
    assert (person["id"], person["origin"], person["level"]) == (made["person"]["id"], "a", "public")
    position = await b.position()
    again = b.pull(a)
    await again.run()
    assert (again.counts.created, again.counts.updated, again.counts.removed) == (0, 0, 0)
    assert await b.position() == position, "nothing was written"


async def test_what_names_a_person_who_was_merged_here_is_taken_for_who_stays(two: tuple[Registry, Registry]) -> None:
    a, b = two
    person = await a.make("persons")
    await b.pull(a).run()
    stays = await b.make("persons")
    merge = f"/v1/persons/{person['id']}/merge"
    merged = await b.editor.post(merge, json={"into": stays["id"]}, headers={"If-Match": "*"})
    assert merged.status_code == 200, merged.text
    await a.make("events", participants=[{"person": person["id"], "role": "victim"}])
    assert (await pulled(b, a))[2] == 0
    (event,) = await b.holds("events")
    assert event["participants"][0]["person"]["id"] == stays["id"]


async def merge(registry: Registry, old: dict[str, Any], into: dict[str, Any]) -> None:
    url = f"/v1/persons/{old['id']}/merge"
    answer = await registry.editor.post(url, json={"into": into["id"]}, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text


async def told(registry: Registry) -> str:
    """Everything that the public finds of persons, events and statuses."""
    client = registry.client("public")
    return "".join([(await client.get(f"/v1/{r}")).text for r in ("persons", "events", "statuses")])


@pytest.mark.parametrize(("deleted", "further"), [(False, False), (True, True)], ids=["withdrawn", "deleted"])
async def test_whom_their_owner_takes_back_is_gone_though_they_were_merged_here(
    two: tuple[Registry, Registry], *, deleted: bool, further: bool
) -> None:
    a, b = two
    person = await a.make("persons", names=[{"text": "Ihar Pulled"}])
    event = await a.make("events", description="of Ihar", participants=[{"person": person["id"], "role": "victim"}])
    await b.pull(a).run()
    stays, last, earlier = [await b.make("persons", names=[{"text": f"Own {n}"}]) for n in range(3)]
    await merge(b, earlier, person)
    await merge(b, person, stays)
    if further:
        await merge(b, stays, last)
    kept = last if further else stays
    own = await b.make("events", description="ours", participants=[{"person": kept["id"], "role": "victim"}])
    assert "Ihar" in await told(b)
    if deleted:
        await a.editor.delete(f"/v1/events/{event['id']}", headers={"If-Match": "*"})
        await a.editor.delete(f"/v1/persons/{person['id']}", headers={"If-Match": "*"})
    else:
        await a.patch("persons", person, level="restricted", publication_ground=None)
    pull = b.pull(a)
    await pull.run()
    said = await told(b)
    assert "Ihar" not in said
    assert "Own 0" in said
    assert "Own 2" in said, "whom editors here had merged into that person is a person again"
    assert [e["id"] for e in await b.holds("events")] == [own["id"]]
    found = (await b.client("public").get(f"/v1/events/{own['id']}")).json()
    assert found["participants"][0]["person"]["id"] == kept["id"]
    assert (await b.editor.get(f"/v1/persons/{person['id']}")).status_code == (410 if deleted else 404)
    if further:
        assert (await b.editor.get(f"/v1/persons/{stays['id']}")).status_code == 308, "the other merge still holds"
    assert (pull.counts.removed, pull.counts.refused) == (2, 0)
    await b.pull(a).run()
    if not deleted:
        await a.patch("persons", person, **PUBLIC)
        assert await pulled(b, a) == (0, 0, 0)
        assert "Ihar" in await told(b)


async def test_who_cannot_be_taken_apart_is_hidden_and_kept_for_editors(two: tuple[Registry, Registry]) -> None:
    a, b = two
    person = await a.make("persons", names=[{"text": "Ihar Pulled"}])
    await b.pull(a).run()
    stays = await b.make("persons", names=[{"text": "Own"}])
    await merge(b, person, stays)
    # As they were they would be seen by more people than see the two now.
    await b.patch("persons", stays, level="partner", publication_ground=None)
    await a.patch("persons", person, level="restricted", publication_ground=None)
    pull = b.pull(a)
    await pull.run()
    assert "Ihar" not in (await b.client("partner").get("/v1/persons")).text
    (left,) = await b.holds("persons")
    assert (left["id"], left["level"], pull.counts.removed) == (stays["id"], "restricted", 1)
    (kept,) = await conflicts(b)
    assert (kept["record_id"], kept["source"], kept["origin"]) == (stays["id"], "http://a.test", "a")
    assert [(f["field"], f["theirs"]) for f in kept["fields"]] == [("level", "restricted")]


@pytest.mark.parametrize("new", [False, True], ids=["known", "new"])
async def test_whom_their_owner_merges_are_merged_here_and_apart_again(
    two: tuple[Registry, Registry], *, new: bool
) -> None:
    a, b = two
    person = await a.make("persons", names=[{"text": "Ihar One"}])
    theirs = await a.make("events", participants=[{"person": person["id"], "role": "victim"}])
    stays = None if new else await a.make("persons", names=[{"text": "Ihar Two"}])
    await b.pull(a).run()
    own = await b.make("events", participants=[{"person": person["id"], "role": "victim"}])
    stays = stays or await a.make("persons", names=[{"text": "Ihar Two"}])

    async def named() -> set[str]:
        found = [(await b.client("public").get(f"/v1/events/{e['id']}")).json() for e in (own, theirs)]
        return {e["participants"][0]["person"]["id"] for e in found}

    await merge(a, person, stays)
    assert (await pulled(b, a))[2] == 0
    assert await b.pull(a).differences() == {}
    assert await named() == {stays["id"]}
    (left,) = await b.holds("persons")
    assert (left["level"], [n["text"] for n in left["names"]]) == ("public", ["Ihar Two", "Ihar One"])
    assert (await b.client("public").get(f"/v1/persons/{person['id']}")).status_code == 308
    # What is written of them later comes as before.
    await a.patch("events", theirs, participants=[{"person": stays["id"], "role": "accused"}])
    await a.patch("persons", stays, names=[{"text": "Ihar"}, {"text": "Ihar Two"}])
    assert await pulled(b, a) == (2, 0, 0)
    assert await b.pull(a).differences() == {}
    undone = await a.editor.delete(f"/v1/persons/{person['id']}/merge")
    assert undone.status_code == 200, undone.text
    assert (await pulled(b, a))[2] == 0
    assert await b.pull(a).differences() == {}
    assert {p["id"] for p in await b.holds("persons")} == {person["id"], stays["id"]}
    assert person["id"] in await named()
    assert await conflicts(b) == []


async def test_whom_their_owner_merged_goes_with_the_one_who_stays(two: tuple[Registry, Registry]) -> None:
    a, b = two
    person, stays = [await a.make("persons", names=[{"text": f"Ihar {n}"}]) for n in range(2)]
    await b.pull(a).run()
    own = await b.make("events", participants=[{"person": person["id"], "role": "victim"}])
    await b.patch("persons", person, names=[{"text": "Ihar as we write him"}])
    await merge(a, person, stays)
    await b.pull(a).run()
    assert "as we write him" in await told(b), "what was edited here is not lost"
    await a.patch("persons", stays, level="restricted", publication_ground=None)
    await b.pull(a).run()
    assert "Ihar" not in await told(b)
    assert (await b.client("public").get(f"/v1/events/{own['id']}")).status_code == 404
    assert (await b.client("public").get(f"/v1/persons/{person['id']}")).status_code == 404


async def test_a_merge_that_may_not_be_here_takes_away_as_a_deletion_does(two: tuple[Registry, Registry]) -> None:
    """It would show an event that was hidden with the person; or editors here judged that the two are not one."""
    a, b = two
    hidden, other, stays = [await a.make("persons", names=[{"text": f"Ihar {n}"}]) for n in range(3)]
    await b.pull(a).run()
    own = await b.make("events", participants=[{"person": hidden["id"], "role": "victim"}])
    await b.patch("persons", hidden, level="restricted", publication_ground=None)
    judged = await b.editor.put(f"/v1/persons/{other['id']}/not-same/{stays['id']}")
    assert judged.status_code == 204, judged.text
    for one in (hidden, other):
        await merge(a, one, stays)
    await b.pull(a).run()
    assert (await b.client("partner").get(f"/v1/events/{own['id']}")).status_code == 404
    assert {p["id"]: p["level"] for p in await b.holds("persons")} == {
        stays["id"]: "public",
        hidden["id"]: "restricted",
    }
    assert (await b.editor.get(f"/v1/persons/{other['id']}")).status_code == 410


async def test_what_was_made_here_is_not_removed_because_it_was_withdrawn_there(two: tuple[Registry, Registry]) -> None:
    """A record that this registry made for a third origin goes there, is withdrawn, and its removal comes back."""
    a, b = two
    person = await a.make("persons", origin="third")
    await b.pull(a).run()
    await a.pull(b).run()
    await a.patch("persons", person, level="restricted", publication_ground=None)
    await b.pull(a).run()
    assert await b.holds("persons") == []
    await a.pull(b).run()
    (kept,) = await a.holds("persons")
    assert (kept["id"], kept["level"]) == (person["id"], "restricted")


async def test_changes_removals_and_returns_follow(two: tuple[Registry, Registry]) -> None:
    a, b = two
    made = await fill(a)
    await b.pull(a).run()
    await a.patch("persons", made["person"], summary="new")
    await a.patch("events", made["event"], level="restricted", publication_ground=None)
    await a.editor.delete(f"/v1/statutes/{made['statute']['id']}", headers={"If-Match": "*"})
    pull = b.pull(a)
    await pull.run()
    assert (pull.counts.updated, pull.counts.removed, pull.counts.refused) == (1, 2, 0), str(pull.counts)
    assert await b.holds("events") == await b.holds("statutes") == []
    assert await pull.differences() == {}
    # What was withdrawn may come back, what was deleted may not; versions go on.
    await a.patch("events", made["event"], **PUBLIC)
    pull = b.pull(a)
    await pull.run()
    (event,) = await b.holds("events")
    assert (event["id"], pull.counts.created) == (made["event"]["id"], 1)
    assert event["version"] == 3
    assert (await b.editor.get(f"/v1/statutes/{made['statute']['id']}")).status_code == 410
    # A person whom a record of ours names is hidden instead of deleted.
    await b.make("events", participants=[{"person": made["person"]["id"], "role": "victim"}])
    for resource, record in (("events", "event"), ("cases", "case"), ("persons", "person")):
        await a.editor.delete(f"/v1/{resource}/{made[record]['id']}", headers={"If-Match": "*"})
    await b.pull(a).run()
    (person,) = await b.holds("persons")
    assert person["level"] == "restricted"
    assert (await b.client("partner").get("/v1/persons")).json()["items"] == []


async def test_two_registries_converge_and_fall_silent(two: tuple[Registry, Registry]) -> None:
    a, b = two
    made = await fill(a)
    own = await b.make("persons")
    same = await b.make("statutes")  # the key that the other has too: each keeps its own
    for registry, other in ((b, a), (a, b), (b, a), (a, b)):
        await registry.pull(other).run()
    positions = [await a.position(), await b.position()]
    assert {p["id"] for p in await a.holds("persons")} == {made["person"]["id"], made["hidden"]["id"], own["id"]}
    assert {s["id"] for s in await b.holds("statutes")} == {same["id"]}
    for registry, other in ((b, a), (a, b)):
        pull = registry.pull(other)
        await pull.run()
        assert (pull.counts.created, pull.counts.updated, pull.counts.removed) == (0, 0, 0)
        assert await registry.pull(other, ["person", "case", "event", "organisation", "source"]).differences() == {}
    assert [await a.position(), await b.position()] == positions
    await b.patch("persons", own, summary="by its owner")
    await a.pull(b).run()
    await b.pull(a).run()
    assert {p["summary"] for p in await a.holds("persons") if p["id"] == own["id"]} == {"by its owner"}


class Failing(httpx.AsyncBaseTransport):
    """A registry that fails now and then: busy, away, or breaking off in the middle."""

    def __init__(self, inner: httpx.AsyncBaseTransport, faults: list[Any]) -> None:
        """Take the faults of the first requests; afterwards all is well."""
        self.inner, self.faults = inner, faults

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            return httpx.Response(fault, headers={"Retry-After": "0"}, request=request)
        if isinstance(fault, Exception):
            raise fault
        answer = await self.inner.handle_async_request(request)
        if fault in {"cut", "cut at once"}:
            content = await answer.aread()
            left = content[: len(content) * 2 // 3 if fault == "cut" else 20]
            kind = {"Content-Type": answer.headers["content-type"]}
            return httpx.Response(200, content=left, headers=kind, request=request)
        return answer


async def test_a_busy_or_broken_registry_is_asked_again(
    two: tuple[Registry, Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two
    await fill(a)
    monkeypatch.setattr(peer_module, "LONGEST_WAIT_S", 0.01)
    faults = [503, httpx.ConnectError("away"), "cut", "cut at once", 429, None, 503, httpx.ReadTimeout("slow")]
    pull = b.pull(a, transport=Failing(a.transport, faults))
    await pull.run()
    assert (pull.counts.created, faults) == (10, [])
    with pytest.raises(PullError, match="429"):
        await b.pull(a, transport=Failing(a.transport, [429] * 9)).run()
    with pytest.raises(PullError, match="key"):
        await b.pull(a, transport=Failing(a.transport, [401])).run()


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        ("90", 90, 113),  # longer than our own pauses grow
        (lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True), 98, 126),
        ("0", 0.4, 0.7),
        ("soon", 0.4, 0.7),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.4, 0.7),
    ],
    ids=["seconds", "date", "at once", "unreadable", "past"],
)
async def test_it_waits_as_long_as_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch, asked: Any, least: float, most: float
) -> None:
    slept: list[float] = []

    async def record(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", record)
    answers = [
        httpx.Response(429, headers={"Retry-After": asked if isinstance(asked, str) else asked()}),
        httpx.Response(200, json={"items": [], "cursor": "c", "has_more": False}),
    ]
    async with Peer("http://a.test", None, httpx.MockTransport(lambda _: answers.pop(0))) as peer:
        await peer.changes({})
        (pause,) = slept
        assert least <= pause <= most
        answers = [httpx.Response(503, headers={"Retry-After": "7200"})]
        with pytest.raises(PullError, match="left alone for 7200 s"):
            await peer.changes({})


@pytest.fixture
def page() -> Iterator[str]:
    """Run a server that is no registry: any page of it is HTML, with the status that its path begins with."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html>\n<title>Not here</title>\n"
            self.send_response(int(self.path.split("/")[1]))
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [200, 404, 410])
async def test_what_is_no_registry_is_told_in_one_line(two: tuple[Registry, Registry], page: str, status: int) -> None:
    a, b = two
    url = f"{page}/{status}"

    async def refused() -> str:
        async with Peer(url, None) as peer:
            pull = Pull(b.app.state.database, "b", peer, "http://a.test", [])
            with pytest.raises(PullError) as error:
                await pull.run()
            with pytest.raises(PullError):
                await pull.differences()
        return str(error.value)

    said = [await refused()]
    await b.pull(a).run()
    said.append(await refused())  # now it has a cursor, and asks for the feed
    assert ["\n" in line for line in said] == [False, False]
    assert all((f"answers {status}" if status != 200 else "not a Chronika's") in line for line in said)


@pytest.mark.parametrize("url", ["other.example", "http://other.example:port", "ftp://other.example"])
async def test_what_is_no_address_is_told_at_once(url: str) -> None:
    with pytest.raises(PullError, match="address"):
        async with Peer(url, None) as peer:
            await peer.snapshot({})


async def test_a_page_that_is_no_page_is_told_in_one_line() -> None:
    item = {"op": "upsert", "type": "person", "id": "x", "version": 1, "origin": "a", "data": {}}
    pages: list[Any] = [[], {}, {"items": [item], "cursor": "c", "has_more": False}, {"items": [], "cursor": None}]
    for wrong in pages:
        transport = httpx.MockTransport(lambda _, wrong=wrong: httpx.Response(200, json=wrong))
        async with Peer("http://a.test", None, transport) as peer:
            with pytest.raises(PullError, match="not a Chronika's"):
                await peer.changes({})


async def test_what_is_stored_is_confirmed(two: tuple[Registry, Registry]) -> None:
    a, b = two
    person = await a.make("persons")
    await b.pull(a).run()
    await a.patch("persons", person, level="restricted", publication_ground=None)

    async def waiting() -> list[str]:
        answer = await a.editor.get("/v1/changes/unconfirmed")
        return [key["name"] for item in answer.json()["items"] for key in item["partners"] if key["name"] == "partner"]

    assert len(await waiting()) == 1
    # That it cannot be confirmed now does not keep anything back.
    await b.pull(a, transport=Failing(a.transport, [None, httpx.ConnectError("away")])).run()
    assert await b.holds("persons") == []
    assert len(await waiting()) == 1
    await b.pull(a).run()
    assert await waiting() == []


async def test_it_may_be_stopped_anywhere_and_run_again(two: tuple[Registry, Registry]) -> None:
    a, b = two
    await fill(a)
    people = [await a.make("persons") for _ in range(30)]
    stopped = 0
    for n in range(1, 8):
        if n == 4:
            for person in people:
                await a.patch("persons", person, summary="later")
        task = asyncio.create_task(b.pull(a).run())
        await asyncio.sleep(0.03 * n)
        stopped += task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert stopped > 2
    pull = b.pull(a)
    await pull.run()
    assert await pull.differences() == {}
    assert len(await b.holds("persons")) == 31
    assert len([p for p in await b.holds("persons") if p["summary"] == "later"]) == 30


async def test_a_restored_registry_is_followed_back(two: tuple[Registry, Registry]) -> None:
    a, b = two
    made = await fill(a)
    await b.pull(a).run()
    owner = await asyncpg.connect(a.site.url)
    try:
        # The last change is lost there, with the record that it made, as after a restore; the same number goes on.
        extra = await a.make("persons")
        await b.pull(a).run()
        assert len(await b.holds("persons")) == 2
        await owner.execute("SET session_replication_role = replica")
        await owner.execute("DELETE FROM person_names WHERE person_id = $1", extra["id"])
        await owner.execute("DELETE FROM persons WHERE id = $1", extra["id"])
        await owner.execute("DELETE FROM changes WHERE record_id = $1", extra["id"])
    finally:
        await owner.close()
    await a.patch("persons", made["person"], summary="after the restore")
    pull = b.pull(a)
    await pull.run()
    (person,) = await b.holds("persons")
    assert (person["id"], person["summary"]) == (made["person"]["id"], "after the restore")
    assert await pull.differences() == {}


async def conflicts(registry: Registry) -> list[dict[str, Any]]:
    answer = await registry.editor.get("/v1/proposals", params={"kind": "conflict"})
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def pulled(b: Registry, a: Registry) -> tuple[int, int, int]:
    """Pull and return what was updated, left, and refused."""
    pull = b.pull(a)
    await pull.run()
    return pull.counts.updated, pull.counts.unchanged, pull.counts.refused


async def test_edits_here_and_there_are_merged_field_by_field(two: tuple[Registry, Registry]) -> None:
    a, b = two
    person = await a.make("persons", summary="one", sex="female", names=[{"text": "One"}])
    event = await a.make("events", participants=[{"person": person["id"], "role": "victim"}], description="one")
    await b.pull(a).run()
    await b.patch("persons", person, summary="ours", born="1990")
    await b.patch("events", event, level="restricted")
    # Two rounds: what was edited here stays ours, though it is not what came last.
    for sex, name in (("male", "Two"), ("female", "Three")):
        await a.patch("persons", person, sex=sex, names=[{"text": name}])
        await a.patch("events", event, description=name)
        assert await pulled(b, a) == (2, 0, 0)
        (now,) = await b.holds("persons")
        assert (now["summary"], now["born"]["edtf"], now["sex"]) == ("ours", "1990", sex)
        assert [n["text"] for n in now["names"]] == [name]
        (shown,) = await b.holds("events")
        assert (shown["level"], shown["description"]) == ("restricted", name), "what was hidden here stays hidden"
    assert await conflicts(b) == []


async def test_what_both_changed_is_kept_with_both_values_until_an_editor_decides(
    two: tuple[Registry, Registry],
) -> None:
    a, b = two
    person = await a.make("persons", summary="one", sex="female")
    await b.pull(a).run()
    await b.patch("persons", person, summary="ours")
    await a.patch("persons", person, summary="theirs", sex="male")
    assert await pulled(b, a) == (1, 0, 0)
    (now,) = await b.holds("persons")
    assert (now["summary"], now["sex"]) == ("ours", "male")
    (kept,) = await conflicts(b)
    assert (kept["source"], kept["origin"], kept["record_id"]) == ("http://a.test", "a", person["id"])
    assert kept["fields"] == [{"field": "summary", "ours": "ours", "theirs": "theirs"}]
    # It stays while the other side changes something else, and shows their newest word.
    await a.patch("persons", person, sex="female")
    await b.pull(a).run()
    await a.patch("persons", person, summary="theirs again")
    await b.pull(a).run()
    (kept,) = await conflicts(b)
    assert kept["fields"] == [{"field": "summary", "ours": "ours", "theirs": "theirs again"}]
    assert list((await b.pull(a).differences()).keys()) == ["person"], "an open conflict is a difference, and is told"
    headers = {"If-Match": f'"{kept["version"]}"'}
    accepted = await b.editor.post(f"/v1/proposals/{kept['id']}/accept", json={}, headers=headers)
    assert accepted.status_code == 200, accepted.text
    assert (await b.holds("persons"))[0]["summary"] == "theirs again"
    assert await b.pull(a).differences() == {}
    # Agreed, it follows its owner again.
    await a.patch("persons", person, summary="last")
    assert await pulled(b, a) == (1, 0, 0)
    assert (await b.holds("persons"))[0]["summary"] == "last"
    assert await conflicts(b) == []


async def test_a_level_that_its_owner_tightens_holds_at_once_whatever_else_is_in_dispute(
    two: tuple[Registry, Registry],
) -> None:
    a, b = two
    person = await a.make("persons", summary="one")
    await b.pull(a).run()
    await b.patch("persons", person, summary="ours", publication_ground="consent")
    await a.patch("persons", person, summary="theirs", level="partner", publication_ground=None)
    await b.pull(a).run()
    (now,) = await b.holds("persons")
    assert (now["level"], now["summary"]) == ("partner", "ours")
    assert (await b.client("public").get("/v1/persons")).json()["items"] == []
    assert [f["field"] for k in await conflicts(b) for f in k["fields"]] == ["publication_ground", "summary"]
    # Withdrawn altogether, it goes, and what waited with it.
    await a.patch("persons", person, level="restricted")
    await b.pull(a).run()
    assert (await b.holds("persons"), await conflicts(b)) == ([], [])


async def test_what_was_deleted_here_is_not_made_again(two: tuple[Registry, Registry]) -> None:
    a, b = two
    person, other = await a.make("persons"), await a.make("persons")
    await b.pull(a).run()
    await b.editor.delete(f"/v1/persons/{person['id']}", headers={"If-Match": "*"})
    await a.patch("persons", person, summary="still there")
    await a.make("events", participants=[{"person": person["id"], "role": "victim"}])
    assert await pulled(b, a) == (0, 0, 2), "neither the person nor what names them"
    assert {p["id"] for p in await b.holds("persons")} == {other["id"]}
    owner = await asyncpg.connect(b.site.url)
    await owner.execute("DELETE FROM pulls; DELETE FROM pulled")  # as after a change of the other's address
    await owner.close()
    await b.pull(a).run()
    assert {p["id"] for p in await b.holds("persons")} == {other["id"]}


async def test_what_cannot_be_stored_keeps_nothing_else_back(two: tuple[Registry, Registry]) -> None:
    """Of many that come together, one deleted here and what names it; and a key that a record here has already."""
    a, b = two
    ours, theirs = await b.make("statutes", key="XX-1"), await a.make("statutes", key="XX-1")
    persons = [await a.make("persons") for _ in range(5)]
    assert await pulled(b, a) == (0, 1, 0)
    await b.editor.delete(f"/v1/persons/{persons[2]['id']}", headers={"If-Match": "*"})
    for person in persons:
        await a.patch("persons", person, summary="new")
        await a.make("events", statutes=[theirs["id"]], participants=[{"person": person["id"], "role": "victim"}])
    assert await pulled(b, a) == (4, 0, 2)
    assert [p["summary"] for p in await b.holds("persons")] == ["new"] * 4
    assert [e["statutes"][0]["id"] for e in await b.holds("events")] == [ours["id"]] * 4
    assert [s["id"] for s in await b.holds("statutes")] == [ours["id"]]
    assert await pulled(b, a) == (0, 0, 0)


async def test_what_came_otherwise_and_was_edited_is_not_overwritten_either(two: tuple[Registry, Registry]) -> None:
    a, b = two
    person = await a.make("persons", summary="one")
    await b.pull(a).run()
    await b.patch("persons", person, summary="ours")
    owner = await asyncpg.connect(b.site.url)
    await owner.execute("DELETE FROM pulls; DELETE FROM pulled")
    await owner.close()
    await a.patch("persons", person, summary="theirs")
    await b.pull(a).run()
    assert (await b.holds("persons"))[0]["summary"] == "ours"
    assert [k["fields"][0]["theirs"] for k in await conflicts(b)] == ["theirs"]
