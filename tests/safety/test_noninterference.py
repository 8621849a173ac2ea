"""What a caller may not see changes nothing: two registries that differ only above a level answer it byte for byte."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
from anyio import to_thread
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.settings import Settings
from app.main import create_app
from app.statistics.measures import MEASURES
from tests.conftest import SECRET, Api, Site, _serve, make_site
from tests.safety.world import change, hide_more, visible

pytestmark = pytest.mark.anyio

Operation = dict[str, Any]


def _document() -> dict[str, Any]:
    app: FastAPI = create_app(Settings(database_url="postgresql://nowhere/none", secret=SECRET))  # type: ignore[arg-type]
    return app.openapi()


DOCUMENT = _document()
READS: list[tuple[str, Operation]] = [(path, ops["get"]) for path, ops in DOCUMENT["paths"].items() if "get" in ops]

WORDS = [
    *("vera", "HIDDEN", "example", "в.", "watch", "happened", "a", "report", "2024", "zzz", "%", "_", "'"),
    *("victim", "female", "journalist", "detention", "in_custody", "political_prisoner", "convicted", "charged"),
    *("imprisonment", "criminal", "city", "ngo", "report", "events", "yes", "unknown", "child", "person", "XX"),
    *("XX-public-1", "XX-partner-1", "XX-restricted-2", "HID-0", "XX-CC", "XX-CC-1", "XX-PC-2", "XX-AC-1"),
]
DAYS = ["2023-12-31", "2024-01-01", "2024-01-02", "2024-02-02", "2024-03-01", "1981-01-01", "2020-01-01", "x"]
DAYS += [datetime.now(UTC).date().isoformat(), "2099-01-01"]
NAMES = ["-date", "date", "id", "-id", "name", "-name", "version", "-version", "created_at", "kind", "type", "code"]
NAMES += [
    "born",
    "reported",
    "decided",
    "opened",
    "start",
    "-start",
    "published",
    "title",
    "key",
    "value",
    "at",
    "level",
]
INCLUDES = ["citations", "sources", "events", "cases", "statuses", "persons", "names", "effective_level"]
FIELDS = ["id", "names", "version", "citations", "level", "effective_level", "participants", "charges", "place", "nope"]
TAGS = ['"1"', '"2-abc"', "*", "@etag"]


def _value(parameter: dict[str, Any]) -> st.SearchStrategy[str]:  # noqa: PLR0911 -- one for each kind of parameter
    """Values of one parameter: sound ones mostly, ids of what is seen, hidden and absent, and now and then nonsense."""
    name, schema = parameter["name"], parameter.get("schema", {})
    variants = [schema, schema.get("items", {}), *schema.get("anyOf", [])]
    listed = [v for s in variants for v in [*s.get("enum", []), *([s["const"]] if "const" in s else [])]]
    if listed:
        return st.sampled_from([*map(str, listed), "nope"])
    if name in {"sort", "include", "fields"}:
        words = {"sort": NAMES, "include": INCLUDES, "fields": FIELDS}[name]
        return st.lists(st.sampled_from(words), min_size=1, max_size=2).map(",".join)
    if name == "limit":
        return st.sampled_from(["1", "2", "3", "50", "0"])
    if name == "wait":
        return st.just("0")
    if name == "cursor":
        return st.sampled_from(["@next", "@next", "AAAA"])
    if any(s.get("format") == "date" for s in variants) or name in {"from", "to", "on", "at", "known_at"}:
        return st.sampled_from(DAYS)
    ids = st.sampled_from(["@seen", "@hidden", "@absent"]).flatmap(
        lambda w: st.integers(0, 60).map(lambda n: f"{w}:{n}")
    )
    return st.one_of(ids, st.sampled_from(WORDS))


CLOCK = re.compile(rb'"as_of": ?"[^"]*"|"sha256": ?"[^"]*"(?=}\n$)')
"""What two answers of different moments differ in, and the sum over a snapshot of which that is a part."""

Query = list[tuple[str, str | int | float | bool | None]]


@dataclass(frozen=True)
class Question:
    """One request, with ids still to be filled in."""

    path: str
    query: tuple[tuple[str, str], ...]
    tag: str | None


@st.composite
def _questions(draw: st.DrawFn) -> Question:
    path, operation = draw(st.sampled_from(READS))
    known = [p for p in operation.get("parameters", []) if p["in"] == "query"]
    query = []
    if known:
        for parameter in draw(st.lists(st.sampled_from(known), max_size=3, unique_by=lambda p: p["name"])):
            query += [(parameter["name"], draw(_value(parameter))) for _ in range(draw(st.integers(1, 2)))]
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path":
            filled = draw(_value(parameter))
            path = path.replace("{" + parameter["name"] + "}", filled)
    if draw(st.integers(0, 20)) == 0:
        query.append(("nonsense", "1"))
    return Question(path, tuple(query), draw(st.sampled_from([None, None, None, *TAGS])))


@dataclass
class Pair:
    """The same visible registry twice; the second holds more of what `level` and above may see."""

    plain: Api
    more: Api
    seen: list[str]
    hidden: list[str]
    etags: dict[str, str] = field(default_factory=dict)


ALL_IDS = " UNION ALL ".join(
    f"SELECT id::text FROM {table}"
    for table in ("persons", "cases", "events", "places", "organisations", "sources", "statutes", "statuses", "figures",
                  "charges", "sentences", "tombstones", "citations", "participants")
)  # fmt: skip


async def _ids(site: Site) -> list[str]:
    connection = await asyncpg.connect(site.url)
    found = sorted(r[0] for r in await connection.fetch(ALL_IDS))
    await connection.close()
    return found


async def _pair(server_url: str, level: str) -> AsyncIterator[Pair]:
    """Record the visible things, clone the database, and hide more in the clone."""
    base = await make_site_in_thread(server_url, f"plain_{level}")
    plain = _serve(base)
    one = await anext(plain)
    made = await visible(one.editor)
    lost = await one.editor.post("/v1/persons", json={"level": "public", "publication_ground": "consent"})
    await one.editor.delete(f"/v1/persons/{lost.json()['id']}", headers={"If-Match": "*"})
    await _run(one.site, "UPDATE changes SET at = '2024-02-02T12:00Z'")
    for kind, fields in LATER.items():
        await change(one.editor, kind, made[kind]["id"], **fields)
    await one.app.state.database.close()
    plain_name, more_name = f"/plain_{level}?", f"/more_{level}?"
    read_url = one.site.read_url and one.site.read_url.replace(plain_name, more_name)
    more_site = replace(one.site, url=one.site.url.replace(plain_name, more_name), read_url=read_url)
    # Each server gives its feed numbers when it likes; the clone begins with the numbers and uids of the first.
    await _run(one.site, "SELECT number_changes()")
    owner = await asyncpg.connect(server_url)
    await owner.execute(f"CREATE DATABASE more_{level} TEMPLATE plain_{level}")
    # A clone does not inherit who may connect.
    await owner.execute(f"REVOKE ALL ON DATABASE more_{level} FROM PUBLIC")
    for role in ("public", "partner", "editor", "guardian", "auth", "feed"):
        await owner.execute(f"GRANT CONNECT ON DATABASE more_{level} TO chronika_{role}")
    await owner.close()
    clone = _serve(more_site)
    two = await anext(clone)
    await hide_more(two.editor, made, level)
    # Half of what was hidden was so before the visible changes; only its audience can tell the one from the other.
    seen_by = "had_public" if level == "partner" else "had_partner"
    await _run(more_site, f"UPDATE changes SET at = '2024-02-20T12:00Z' WHERE {seen_by} IS NULL AND id % 2 = 0")
    seen = await _ids(one.site)
    hidden = sorted(set(await _ids(more_site)) - set(seen))
    assert len(hidden) > 40, "the second registry holds more"
    yield Pair(one, two, seen, hidden)
    for ended in (plain, clone):
        await anext(ended, None)


LATER: dict[str, dict[str, Any]] = {
    "events": {"type": "raid", "date": "2024-03-03"},
    "persons": {"sex": "male"},
    "cases": {"stage": "appeal", "decided": "2024-03-04"},
    "statuses": {"kind": "wanted"},
    "statutes": {"citations": []},
    "organisations": {"kind": "court"},
    "places": {"kind": "village"},
}
"""What became of the visible records after 2 February 2024."""


async def _run(site: Site, sql: str) -> None:
    connection = await asyncpg.connect(site.url)
    await connection.execute(sql)
    await connection.close()


async def make_site_in_thread(server_url: str, name: str) -> Site:
    """Make a database beside the running event loop, which Alembic cannot share."""
    return await to_thread.run_sync(make_site, server_url, name)


@pytest.fixture(scope="session")
async def above_public(server_url: str) -> AsyncIterator[Pair]:
    async for pair in _pair(server_url, "partner"):
        yield pair


@pytest.fixture(scope="session")
async def above_partner(server_url: str) -> AsyncIterator[Pair]:
    async for pair in _pair(server_url, "restricted"):
        yield pair


def _filled(text: str, pair: Pair) -> str:
    if text.startswith("@"):
        kind, _, number = text[1:].partition(":")
        if kind == "absent":
            return f"00000000-0000-4000-8000-{int(number):012d}"
        pool = pair.seen if kind == "seen" else pair.hidden
        return pool[int(number) * 7919 % len(pool)]
    return text


async def _same(pair: Pair, client: str, url: str, query: Query, tag: str | None) -> httpx.Response:
    """Ask both registries and compare the answers to the byte."""
    headers = {"X-Request-Id": "samesame", **({"If-None-Match": tag} if tag else {})}
    answers: list[httpx.Response] = [
        await getattr(api, client).get(url, params=query, headers=headers) for api in (pair.plain, pair.more)
    ]
    one, two = ((a.status_code, sorted(a.headers.multi_items()), CLOCK.sub(b"", a.content)) for a in answers)
    assert one == two, f"{client} {url} {query}"
    return answers[0]


async def _ask(pair: Pair, client: str, question: Question) -> None:
    path = "/".join(_filled(part, pair) for part in question.path.split("/"))
    query: Query = [(n, _filled(v, pair)) for n, v in question.query if v != "@next"]
    tag = pair.etags.get(path) if question.tag == "@etag" else question.tag
    answer = await _same(pair, client, path, query, tag)
    if "etag" in answer.headers:
        pair.etags[path] = answer.headers["etag"]
    if not answer.content or not answer.headers.get("content-type", "").startswith("application/json"):
        return
    following = answer.json()
    # Through to the last page, so that neither order nor cursors differ anywhere.
    for _ in range(30):
        if not isinstance(following, dict) or not following.get("next"):
            break
        following = (await _same(pair, client, following["next"], [], None)).json() if answer.is_success else None


def _runs(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=count < 1000,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@_runs(150)
@given(question=_questions())
async def test_the_public_cannot_tell_two_registries_apart(above_public: Pair, question: Question) -> None:
    await _ask(above_public, "public", question)


@_runs(150)
@given(question=_questions())
async def test_a_partner_cannot_tell_two_registries_apart(above_partner: Pair, question: Question) -> None:
    await _ask(above_partner, "partner", question)


@pytest.mark.full
@_runs(6000)
@given(question=_questions(), client=st.sampled_from(["public", "partner", "other_partner"]))
async def test_nobody_can_tell_two_registries_apart(above_partner: Pair, question: Question, client: str) -> None:
    await _ask(above_partner, client, question)


@pytest.mark.full
@_runs(6000)
@given(question=_questions())
async def test_the_public_can_tell_nothing_of_what_partners_see(above_public: Pair, question: Question) -> None:
    await _ask(above_public, "public", question)


@pytest.mark.parametrize("client", ["public", "partner"])
async def test_every_list_and_every_record_is_the_same(above_partner: Pair, client: str) -> None:
    for path, operation in READS:
        if "{" in path:
            for record_id in [*above_partner.seen[::5], *above_partner.hidden[::5]]:
                if path.endswith("{record_id}"):
                    await _same(above_partner, client, path.replace("{record_id}", record_id), [], None)
            continue
        names = {p["name"] for p in operation.get("parameters", [])}
        query: Query = [("limit", "200"), ("count", "exact")] if "cursor" in names else []
        await _same(above_partner, client, path, query, None)


@pytest.mark.parametrize("client", ["public", "partner"])
async def test_what_was_known_on_an_earlier_day_is_the_same(above_partner: Pair, client: str) -> None:
    """Counted from old versions, of which some are hidden in the second registry."""
    counted = 0
    for measure in MEASURES.values():
        more: Query = [("at", "2024-03-05")] if measure.kind == "stock" else []
        for n, dimension in enumerate(measure.dimensions):
            query: Query = [("by", dimension), ("known_at", ("2024-02-10", "2024-03-01")[n % 2]), *more]
            answer = await _same(above_partner, client, f"/v1/statistics/{measure.name}", query, None)
            counted += bool(answer.json()["rows"])
    assert counted > 100, "there is something to count"


async def test_the_two_registries_do_differ_for_those_who_may_see_it(above_partner: Pair) -> None:
    answers = [
        (await api.editor.get("/v1/persons?count=exact")).content for api in (above_partner.plain, above_partner.more)
    ]
    assert answers[0] != answers[1]
