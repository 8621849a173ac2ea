"""Kept answers: never older than the last commit, never another audience's, and never more than there is room for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from app.core import keys
from app.core.cache import Answers, Kept
from app.core.database import Database
from app.core.lookups import Lookups
from app.main import ROUTERS, create_app
from tests.conftest import SECRET, Api, Site, make_site, start_server

pytestmark = pytest.mark.anyio

ROLES = ("public", "partner", "editor", "guardian")
PUBLIC = {"level": "public", "publication_ground": "public_record"}


async def _make(api: Api, name: str, **fields: Any) -> str:
    answer = await api.editor.post("/v1/persons", json={"names": [{"text": name}], **fields})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def _change(client: httpx.AsyncClient, url: str, **fields: Any) -> None:
    """Change a record, whatever its version."""
    answer = await client.patch(url, json=fields, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text


def _answers(api: Api) -> Answers:
    """Return what the application keeps."""
    layer: Any = api.app.middleware_stack
    while not hasattr(layer, "answers"):
        layer = layer.app
    kept: Answers = next(iter(layer.answers.values()), Answers(0))  # of the one server that is read from
    return kept


@asynccontextmanager
async def _serving(site: Site, **settings: Any) -> AsyncIterator[Api]:
    app = create_app(site.settings().model_copy(update=settings))
    transport = httpx.ASGITransport(app=app)
    roles = (*ROLES, "other_partner")
    clients = {
        r: httpx.AsyncClient(transport=transport, base_url="http://chronika.test", headers=site.headers(r))
        for r in roles
    }
    yield Api(app, site, **clients)
    await app.state.database.close()


# --- never stale ----------------------------------------------------------------------------------------


async def test_a_commit_is_seen_by_the_next_request(api: Api) -> None:
    url = await _make(api, "Vera", **PUBLIC)
    for n in range(5):
        summary = f"text {n}"
        await _change(api.editor, url, summary=summary)
        for _ in range(2):
            for client in (api.public, api.partner, api.editor):
                assert (await client.get(url)).json()["summary"] == summary
                assert (await client.get("/v1/persons")).json()["items"][0]["summary"] == summary
    assert _answers(api)._kept, "and in between they were kept"


async def test_what_is_hidden_is_gone_from_the_next_request(api: Api) -> None:
    url = await _make(api, "Vera", **PUBLIC)
    counted = "/v1/statistics/persons_in_status"
    for level, seen in (("restricted", 404), ("partner", 404), ("public", 200)):
        for client in (api.public, api.partner):
            await client.get(url), await client.get("/v1/persons?count=exact"), await client.get(counted)
        await _change(api.editor, url, level=level, publication_ground="public_record")
        assert (await api.public.get(url)).status_code == seen
        assert (await api.public.get("/v1/persons?count=exact")).json()["count"] == (seen == 200)
        assert (await api.partner.get(url)).status_code == (404 if level == "restricted" else 200)
    assert (await api.editor.delete(url, headers={"If-Match": "*"})).status_code == 204
    assert (await api.public.get(url)).status_code == 410


async def test_a_commit_from_outside_the_service_is_seen_as_well(api: Api, owner: asyncpg.Connection) -> None:
    url = await _make(api, "Vera", **PUBLIC)
    assert (await api.public.get(url)).json()["summary"] is None
    async with owner.transaction():
        await owner.execute("UPDATE persons SET summary = 'by hand'")
        assert (await api.public.get(url)).json()["summary"] is None, "not before it is committed"
    assert (await api.public.get(url)).json()["summary"] == "by hand"


async def _write_and_read(urls: list[str], clients: list[httpx.AsyncClient], rounds: int) -> int:
    """Have one writer for each record and many readers of all, over all the clients; return how many answers agreed."""
    committed, agreed = dict.fromkeys(urls, 0), 0
    writing = len(urls)

    async def write(n: int, url: str) -> None:
        nonlocal agreed, writing
        for number in range(1, rounds + 1):
            await _change(clients[n % len(clients)], url, summary=str(number))
            committed[url] = number
            for client in clients:  # what I wrote I read, wherever I ask
                assert int((await client.get(url)).json()["summary"] or 0) >= number
                agreed += 1
        writing -= 1

    async def read(client: httpx.AsyncClient) -> None:
        nonlocal agreed
        last = dict.fromkeys(urls, 0)
        while writing:
            least = dict(committed)
            items = (await client.get("/v1/persons?fields=id,summary")).json()["items"]
            found = {f"/v1/persons/{i['id']}": int(i["summary"] or 0) for i in items}
            for url in urls:
                assert found[url] >= max(least[url], last[url]), "older than what was committed, or read, before"
            last, agreed = found, agreed + 1

    async with asyncio.TaskGroup() as all_of_them:
        for n, url in enumerate(urls):
            all_of_them.create_task(write(n, url))
        for client in clients * 3:
            all_of_them.create_task(read(client))
    return agreed


async def test_among_writers_nobody_reads_what_is_older_than_what_they_know(api: Api) -> None:
    urls = [await _make(api, f"Person {n}", **PUBLIC) for n in range(4)]
    assert await _write_and_read(urls, [api.editor], 12) > 48


async def test_two_processes_agree(server_url: str) -> None:
    site = await asyncio.to_thread(make_site, server_url, "two_workers")
    servers = await asyncio.gather(*(asyncio.to_thread(start_server, site) for _ in range(2)))
    try:
        a, b = (httpx.AsyncClient(base_url=s.url, headers=site.headers("editor")) for s in servers)
        made = [
            (await a.post("/v1/persons", json={"names": [{"text": f"P {n}"}], **PUBLIC})).headers["location"]
            for n in range(3)
        ]
        assert await _write_and_read(made, [a, b], 10) > 60
        async with httpx.AsyncClient(base_url=servers[1].url) as public:
            assert (await public.get(made[0])).status_code == 200
            await _change(a, made[0], level="restricted")
            assert (await public.get(made[0])).status_code == 404, "hidden through one, hidden in the other"
        await a.aclose()
        await b.aclose()
    finally:
        for one in servers:
            one.process.terminate()
        for one in servers:
            one.process.wait(30)


async def test_an_answer_read_before_a_commit_is_not_kept_after_it() -> None:
    answers, answer = Answers(10_000), Kept([], b"old", '"1"', 100)
    assert answers.at("before", ("url",)) is None
    assert answers.at("after", ("url",)) is None, "somebody else, meanwhile"
    answers.keep("before", ("url",), answer)
    assert answers.at("after", ("url",)) is None
    assert answers.size == 0


async def test_nothing_is_kept_over_midnight(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Tomorrow":
            return cls.fromtimestamp(datetime.now(tz).timestamp() + 86_400, tz)

    url = "/v1/statistics/events?by=month"
    today = (await api.public.get(url)).json()["known_at"]
    assert today == str(datetime.now(UTC).date())
    assert (await api.public.get(url)).json()["known_at"] == today
    for module in ("app.core.cache", "app.statistics.answers"):
        monkeypatch.setattr(f"{module}.datetime", Tomorrow)
    assert (await api.public.get(url)).json()["known_at"] == str((datetime.now(UTC) + timedelta(days=1)).date())


class Slow(Database):
    """A database whose answers arrive when they are let through."""

    ran: asyncio.Event
    through: asyncio.Event

    async def fetch(self, audience: Any, sql: str, *arguments: Any) -> list[Any]:
        rows = await super().fetch(audience, sql, *arguments)
        self.ran.set()
        await self.through.wait()
        return rows


async def test_who_comes_while_a_look_up_runs_is_not_answered_from_it(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.core.lookups.OVERDUE_S", 60)  # one after the other
    database = Slow(api.site.url, SECRET.encode(), 2)
    database.ran, database.through = asyncio.Event(), asyncio.Event()
    lookups = Lookups(database)
    text = await keys.create(api.site.url, "tested", "partner", "tested", timedelta(days=1))
    key_id = text.split("_")[1]
    early = asyncio.create_task(lookups.look(key_id))
    await database.ran.wait()  # its answer is on the way
    await keys.revoke(api.site.url, key_id)
    late = asyncio.create_task(lookups.look(key_id))
    await asyncio.sleep(0.05)
    database.through.set()
    assert (await early)["valid"]
    assert not (await late)["valid"]
    assert (await early)["moment"] != (await late)["moment"]
    await database.close()


# --- never another audience's ------------------------------------------------------------------------------


async def test_each_audience_has_its_own_answers(api: Api) -> None:
    for n, level in enumerate(("public", "partner", "restricted")):
        await _make(api, f"Person {n}", level=level, publication_ground="public_record")
    clients = {"public": api.public, "partner": api.partner, "editor": api.editor, "guardian": api.guardian}
    async with _serving(api.site, cache_mb=0) as plain:
        urls = ("/v1/persons?count=exact", "/v1/statistics/persons_in_status?at=2024-01-01", "/v1/persons?limit=1")
        right = {r: [(await getattr(plain, r).get(u)).content for u in urls] for r in clients}
        for order in (ROLES, tuple(reversed(ROLES))):
            await api.editor.post("/v1/places", json={"kind": "country", "names": [{"text": "X"}], "code": order[0]})
            for role in order * 2:
                assert [(await clients[role].get(u)).content for u in urls] == right[role]
    assert len({tuple(r) for r in list(right.values())[:3]}) == 3, "they do differ"


async def test_two_keys_of_one_role_share_and_neither_shares_with_the_public(sample: Api) -> None:
    first = await sample.partner.get("/v1/events?limit=3")
    before = len(_answers(sample)._kept)
    assert (await sample.other_partner.get("/v1/events?limit=3")).content == first.content
    assert len(_answers(sample)._kept) <= before
    assert first.headers["cache-control"] == "no-store"
    public = [await sample.public.get("/v1/events?limit=3") for _ in range(2)]
    assert {a.headers["cache-control"] for a in public} == {"public, max-age=0, must-revalidate"}
    assert (await sample.partner.get("/v1/events?limit=3")).headers["cache-control"] == "no-store"


async def test_a_revoked_key_is_refused_even_what_is_kept(api: Api) -> None:
    text = await keys.create(api.site.url, "tested", "partner", "tested", timedelta(days=1))
    headers = {"Authorization": f"Bearer {text}"}
    await api.partner.get("/v1/persons")
    assert [(await api.public.get("/v1/persons", headers=headers)).status_code for _ in range(2)] == [200, 200]
    await keys.revoke(api.site.url, text.split("_")[1])
    assert (await api.partner.get("/v1/persons")).status_code == 200
    for wrong in (headers, {"Authorization": "Bearer chr_x"}, {"Authorization": f"Bearer {text[:-1]}"}):
        refused = await api.public.get("/v1/persons", headers=wrong)
        assert refused.status_code == 401
        assert refused.headers["content-type"] == "application/problem+json"


async def test_what_is_kept_counts_against_the_limit(api: Api) -> None:
    text = await keys.create(api.site.url, "tested", "partner", "tested", timedelta(days=1))
    async with _serving(api.site, requests_per_minute=20) as limited:
        headers = {"Authorization": f"Bearer {text}"}
        answers = [await limited.public.get("/v1/places", headers=headers) for _ in range(25)]
    assert [a.status_code for a in answers] == [200] * 20 + [429] * 5
    assert [a.headers["ratelimit"].partition(";t=")[0] for a in answers[:2]] == ['"key";r=19', '"key";r=18']


# --- what is kept, and how it is answered ------------------------------------------------------------------------


async def test_a_kept_answer_is_the_answer_itself(sample: Api) -> None:
    own = {"x-request-id"}
    url = "/v1/persons?limit=5&include=cases"
    for client in (sample.public, sample.editor):
        first, second, head = await client.get(url), await client.get(url), await client.head(url)
        assert first.content == second.content != b""
        assert {k: v for k, v in first.headers.items() if k not in own} == {
            k: v for k, v in second.headers.items() if k not in own
        }
        assert first.headers["x-request-id"] != second.headers["x-request-id"]
        assert head.content == b""
        assert head.headers["content-length"] == second.headers["content-length"]


async def test_who_has_it_already_is_told_so(sample: Api) -> None:
    url = "/v1/events?limit=7"
    fresh = await sample.public.get(url)
    tag = fresh.headers["etag"]
    async with _serving(sample.site) as other:  # keeps nothing yet
        for known in (tag, f'"other", W/{tag}', "*", tag):
            for client in (other.public, sample.public):
                answer = await client.get(url, headers={"If-None-Match": known})
                assert (answer.status_code, answer.content) == (304, b"")
                assert answer.headers["etag"] == tag
                assert "content-length" not in answer.headers
                assert answer.headers["cache-control"] == fresh.headers["cache-control"]
            assert len(_answers(other)._kept) == 1, "in full, for those who have it not"
        assert (await other.public.get(url, headers={"If-None-Match": '"other"'})).content == fresh.content


async def test_each_way_of_asking_has_its_own_answer(sample: Api) -> None:
    url = "/v1/statistics/events?by=month&from=2024-01-01&to=2024-04-01"
    kinds = ("application/json", "text/csv", "image/svg+xml")
    names = "/v1/persons?q=khrasko&fields=names"
    for _ in range(2):
        for kind in kinds:
            assert (await sample.public.get(url, headers={"Accept": kind})).headers["content-type"].startswith(kind)
        shown = [(await sample.public.get(names, headers={"Accept-Language": x})).json()["items"] for x in ("be", "ru")]
        assert shown[0] != shown[1]
        packed = await sample.public.get("/v1/events", headers={"Accept-Encoding": "gzip"})
        plain = await sample.public.get("/v1/events", headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content


async def test_errors_are_not_kept(api: Api) -> None:
    url = "/v1/persons/00000000-0000-4000-8000-000000000000"
    for wrong, status in ((url, 404), ("/v1/persons?no=1", 422), ("/v1/persons?cursor=x", 400)):
        assert [(await api.public.get(wrong)).status_code for _ in range(2)] == [status] * 2
    assert not _answers(api)._kept


def test_only_readings_of_records_are_kept() -> None:
    """What streams, waits, is recorded, or tells of the service itself is asked anew each time."""
    routes = [r for router in ROUTERS for r in router.routes if "GET" in r.methods]  # type: ignore[attr-defined]
    passed_by = {r.path for r in routes if not r.kept}  # type: ignore[attr-defined]
    assert {p for p in passed_by if not p.endswith("/export")} == {
        "/",
        "/assets/{name}",
        "/docs",
        "/livez",
        "/metrics",
        "/problems/{kind}",
        "/readyz",
        "/v1/changes",
        "/v1/changes/unconfirmed",
        "/v1/proposals",
        "/v1/digest",
        "/v1/snapshot",
        "/v1/status",
    }


async def test_a_recorded_reading_is_recorded_each_time(api: Api, owner: asyncpg.Connection) -> None:
    url = await _make(api, "Vera") + "/protected"
    assert [(await api.guardian.get(url)).status_code for _ in range(3)] == [200] * 3
    assert await owner.fetchval("SELECT count(*) FROM protected_reads") == 3
    assert not _answers(api)._kept


async def test_there_is_never_more_than_there_is_room_for(sample: Api) -> None:
    async with _serving(replace(sample.site, read_url=None), cache_mb=1) as small:  # a standby's moments pass faster
        most = 0
        for n in range(20, 80):
            for client in (small.public, small.editor):
                assert (await client.get(f"/v1/events?limit={n}")).is_success
            answers = _answers(small)
            most = max(most, answers.size)
            assert answers.size == sum(k.size for k in answers._kept.values()) <= 1_000_000
        assert most > 500_000, "it was put to use"
    async with _serving(sample.site, cache_mb=0) as none:
        await none.public.get("/v1/events")
        with pytest.raises(AttributeError):
            _answers(none)


def test_the_longest_unasked_goes_first_and_the_very_large_is_not_kept() -> None:
    answers = Answers(800)
    answers.at("now", ())
    for n in range(8):
        answers.keep("now", (n,), Kept([], b"", "", 100))
    assert answers.at("now", (0,)) is not None
    answers.keep("now", ("new",), Kept([], b"", "", 100))
    assert answers.at("now", (0,)) is not None
    assert answers.at("now", (1,)) is None
    answers.keep("now", ("large",), Kept([], b"", "", 101))
    assert answers.at("now", ("large",)) is None
    assert answers.size == 800


async def test_without_its_database_nothing_kept_is_given(site: Site) -> None:
    """Whether an answer still holds is for the database to say."""
    async with _serving(replace(site, read_url=None)) as alone:
        assert (await alone.public.get("/v1/places")).status_code == 200
        await alone.app.state.database.close()
        server = alone.app.state.database.servers.writable
        server._url = server._url.set(query={"host": "/nowhere"})
        for _ in range(2):
            assert (await alone.public.get("/v1/places")).status_code == 503
