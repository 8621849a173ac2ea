"""A word in every hidden field: it is in no answer to anybody who may not see it, in no error, no log and no metric."""

import itertools
import json
import logging
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from tests.conftest import Api
from tests.factories import MINIMAL, PUBLIC, make

pytestmark = pytest.mark.anyio

_numbers = itertools.count(1)


def _word() -> str:
    return f"canary{next(_numbers):05d}bird"


CODES = {"kind", "type", "role", "status", "outcome", "state", "measure", "qualifier", "sex", "language", "script"}


def _filled(  # noqa: PLR0911 -- one for each form of schema
    schema: dict[str, Any], document: dict[str, Any], name: str, words: list[str]
) -> Any:
    """Fill free text with words, arrays with one item, objects with what they take; leave the rest out (None)."""
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if schema.get("title") in {"Ref", "DateIn"}:
        return None
    for inner in schema.get("anyOf", []):
        found = _filled(inner, document, name, words)
        if found is not None:
            return found
    if (
        schema.get("title") in {"Ref", "DateIn"}
        or name in CODES
        or "enum" in schema
        or ("pattern" in schema and not _free(schema))
    ):
        return None
    if schema.get("type") == "string" and "format" not in schema:
        words.append(_word())
        return words[-1]
    if schema.get("type") == "array":
        item = _filled(schema.get("items", {}), document, name, words)
        return None if item in (None, {}) else [item]
    if schema.get("type") == "object" and "properties" in schema:
        values = {n: _filled(s, document, n, words) for n, s in schema["properties"].items()}
        return {n: v for n, v in values.items() if v is not None}
    return None


def _free(schema: dict[str, Any]) -> bool:
    return len(schema.get("pattern", "")) > 60 and "https" not in schema["pattern"]


UNSUITED = (
    *("citations", "value", "at", "from", "to", "groups", "contexts", "other_languages", "filters", "key", "origin"),
    *("confidence", "jurisdiction", "code", "article", "part", "sha256", "criterion", "unit", "nature", "reliability"),
    *("end_ground", "sex_basis", "stage", "result", "language"),
)
"""Fields of a record that take codes and the like, so that no word can stand there."""

REQUIRED: dict[str, dict[str, Any]] = {
    "names": {"text": "x"},
    "titles": {"text": "x", "language": "en"},
    "participants": {"role": "victim"},
    "charges": {"status": "charged"},
    "sentences": {"outcome": "convicted"},
}


async def _hide(  # noqa: C901 -- what a word would not suit is taken out again, field by field
    api: Api, level: str
) -> tuple[list[str], list[str]]:
    """Record something of every kind at a level with a word in every free text; return the words and the ids."""
    document = api.app.openapi()
    words: list[str] = []
    ids: list[str] = []
    source = (await make(api.editor, "sources", level=level))["id"]
    person = (await make(api.editor, "persons", level=level))["id"]
    for kind, least in MINIMAL.items():
        path = f"/v1/{kind}"
        schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        body = _filled(schema, document, "", words)
        for unsuited in UNSUITED:
            if isinstance(body.get(unsuited), str | list) and not (kind == "events" and unsuited == "result"):
                del body[unsuited]
        for part, needs in REQUIRED.items():
            for item in (
                body.get(part, [])
                if kind in {"places", "organisations", "persons", "statutes", "cases", "events"}
                else []
            ):
                for unsuited in ("components", "reason", "stage", "state"):
                    item.pop(unsuited, None)
                item |= {k: item.get(k, v) for k, v in needs.items()}
        for item in body.get("affiliations", []):
            item.pop("state", None)
        words.append(_word())
        body = {
            **least,
            **body,
            "level": level,
            "citations": [{"source": source, "quote": words[-1], "page": words[-1]}],
        }
        if kind == "statutes":
            body["article"] = uuid4().hex[:8]
        if kind == "statuses":
            body["person"] = person
        answer = await api.editor.post(path, json=body)
        assert answer.status_code == 201, f"{kind}: {answer.text}"
        ids.append(answer.json()["id"])
    protected: dict[str, Any] = {}
    for name in ("health", "addresses", "contacts", "documents", "aid", "informants"):
        words.append(_word())
        protected[name] = [words[-1]]
    words += [_word(), _word()]
    protected |= {"relatives": [{"name": words[-1], "relation": words[-2]}]}
    assert (await api.guardian.put(f"/v1/persons/{person}/protected", json=protected)).status_code == 200
    sent = " ".join(w for w in words)
    kept = " ".join([(await api.editor.get(f"/v1/{k}/{i}")).text for k, i in zip(MINIMAL, ids, strict=True)])
    assert sum(w in kept for w in sent.split()) > 30, "the words are there, for those who may see them"
    return words, ids


def _ours(caplog: pytest.LogCaptureFixture) -> str:
    """Return what was logged, but for the tests' own client, which logs each URL that it asks for."""
    return "\n".join(f"{r.getMessage()} {r.exc_info or ''}" for r in caplog.records if not r.name.startswith("http"))


async def _said(client: httpx.AsyncClient, url: str, **more: Any) -> str:
    answer = await client.request(more.pop("method", "GET"), url, **more)
    assert answer.status_code != 500, url
    return f"{url} {answer.status_code} {answer.headers} {answer.text}"


async def _cursor(client: httpx.AsyncClient) -> str:
    """Return where the client's feed stands."""
    return str(json.loads((await client.get("/v1/snapshot")).text.splitlines()[0])["cursor"])


async def _crawl(api: Api, client: httpx.AsyncClient, ids: list[str], words: list[str], start: str) -> str:
    """Read everything that can be read, the feed from `start`, search for the words, and follow every link."""
    heard, seen = [], set[str]()
    for path, operations in api.app.openapi()["paths"].items():
        if "get" not in operations:
            continue
        urls = [path]
        if "{record_id}" in path:
            urls = [path.replace("{record_id}", i) for i in ids]
        elif "{" in path:
            urls = [path.replace("{kind}", "not-found").replace("{name}", "sex")]
        names = {p["name"] for p in operations["get"].get("parameters", [])}
        count = "&count=exact" if "count" in names else ""
        urls += [f"{path}?q={w}{count}" for w in words[:5] if "q" in names]
        urls += [f"{path}?format={f}" for f in ("csv", "ftm") if path.endswith("/export")]
        urls += [f"{path}?known_at={datetime.now(UTC).date()}" for _ in names & {"known_at"}]
        urls += [f"{path}?type={kind.rstrip('s')}" for kind in MINIMAL if path == "/v1/digest"]
        urls += [f"{path}?cursor={quote(start)}&limit=500" for _ in "1" if path == "/v1/changes"]
        urls += [
            f"{path}?limit=200&include={i}"
            for i in ("sources", "events", "cases")
            if "include" in names and "{" not in path
        ]
        for url in urls:
            if url not in seen:
                seen.add(url)
                said = await _said(client, url)
                # A search repeats the words that were asked for in its own URL only, which is not an answer.
                heard.append(said.partition(" ")[2])
    return "\n".join(heard)


async def _errors(api: Api, ids: list[str], words: list[str]) -> str:
    """Provoke every class of error as an editor, with words in what is sent, and return what was answered."""
    word = words[0]
    taken = {**MINIMAL["places"], "code": "XX-TAKEN", "origin": word, "origin_id": word}
    await api.editor.post("/v1/places", json=taken)
    person = f"/v1/persons/{ids[list(MINIMAL).index('persons')]}"
    some = [
        await _said(api.editor, "/v1/places", method="POST", json=taken),
        await _said(api.editor, "/v1/places", method="POST", json={**taken, "nonsense": word}),
        await _said(api.editor, "/v1/places", method="POST", json={"kind": word, "names": [{"text": word}]}),
        await _said(api.editor, "/v1/places", method="POST", content=b'{"kind": "' + word.encode()),
        await _said(api.editor, "/v1/places", method="POST", content=word, headers={"Content-Type": "text/plain"}),
        await _said(api.editor, "/v1/places", method="POST", content="[" * 99 + f'"{word}"' + "]" * 99,
                    headers={"Content-Type": "application/json"}),
        await _said(api.editor, "/v1/events", method="POST", json={"type": "raid", "place": word, "description": word}),
        await _said(api.editor, "/v1/events", method="POST", json={"type": "raid", "date": word}),
        await _said(api.editor, "/v1/persons", method="POST", json={**PUBLIC, "summary": word, "groups": ["child"]}),
        await _said(api.editor, person, method="PATCH", json={"summary": word}),
        await _said(api.editor, person, method="PATCH", json={"summary": word}, headers={"If-Match": f'"9-{word}"'}),
        await _said(api.editor, person, method="PATCH", json={"born": word}, headers={"If-Match": "*"}),
        await _said(api.editor, person, method="PUT", json={"summary": word * 9000}, headers={"If-Match": "*"}),
        await _said(api.editor, "/v1/persons", method="POST", content=word.encode() * 90_000,
                    headers={"Content-Type": "application/json"}),
        await _said(api.public, "/v1/persons", headers={"Authorization": f"Bearer {word}"}),
        await _said(api.public, "/v1/persons", params={"cursor": word}),
        await _said(api.public, "/v1/persons", params={"sort": word}),
        await _said(api.public, "/v1/persons", params={"born_from": word}),
        await _said(api.public, f"/v1/persons/{word}"),
        await _said(api.public, f"/{word}"),
        await _said(api.public, "/v1/persons", method=word.upper()),
    ]  # fmt: skip
    return "\n".join(s.split(" ", 1)[1] for s in some)


async def test_no_hidden_word_leaves(
    api: Api, tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clients = (api.public, api.partner, api.other_partner)
    starts = [await _cursor(client) for client in clients]
    words, ids = await _hide(api, "restricted")
    partners, more = await _hide(api, "partner")
    everything = [*words, *partners]
    for client, hidden, start in zip(clients, (everything, words, words), starts, strict=True):
        heard = await _crawl(api, client, [*ids, *more], hidden, start)
        assert [w for w in hidden if w in heard] == []
    heard = await _errors(api, ids, everything)
    assert [w for w in everything if w in heard] == []
    assert [w for w in everything if w in _ours(caplog)] == []
    metrics = (await api.public.get("/metrics")).text
    assert 'status="404"' in metrics, "what was asked is counted"
    assert [w for w in [*everything, *ids, *more] if w in metrics.lower()] == []
    logs = list(tmp_path_factory.getbasetemp().glob("pg*/postgres.log*"))
    assert logs, "PostgreSQL's log is looked at"
    assert [w for path in logs for w in everything if w in path.read_text(errors="replace")] == []


async def test_a_failure_of_ours_is_logged_without_its_message(
    alone: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    word = _word()

    async def fails(*_: object) -> None:
        raise RuntimeError(word)

    monkeypatch.setattr("app.core.database.Database.fetch", fails)
    caplog.set_level(logging.INFO)
    answer = await alone.public.get("/v1/persons", params={"q": "someone"})
    assert answer.status_code == 500
    assert answer.json()["request_id"] in _ours(caplog)
    assert word not in answer.text + _ours(caplog)
    assert "someone" not in _ours(caplog)
