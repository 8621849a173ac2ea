"""Who may do what: every operation of the OpenAPI document, for every kind of caller, at every level.

A route that is not in the table fails, so that nobody adds one without having said who may use it.
"""

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.core import keys
from tests.conftest import Api
from tests.factories import MINIMAL, PUBLIC, make

pytestmark = pytest.mark.anyio

RESOURCES = ("persons", "cases", "statutes", "events", "organisations", "places", "statuses", "sources", "figures")
LEVELS = ("public", "partner", "restricted")
SEES = {"public": 0, "partner": 1, "other_partner": 1, "editor": 2, "guardian": 2}

TABLE: dict[tuple[str, str], str] = {
    ("get", "/livez"): "keyless",
    ("get", "/readyz"): "open",
    ("get", "/problems/{kind}"): "keyless",
    ("get", "/v1/rates"): "open",
    ("get", "/v1/status"): "open",
    ("get", "/v1/vocabularies"): "open",
    ("get", "/v1/vocabularies/{name}"): "open",
    ("get", "/v1/charges"): "list",
    ("get", "/v1/sentences"): "list",
    ("get", "/v1/persons/{record_id}/protected"): "guard",
    ("put", "/v1/persons/{record_id}/protected"): "guard",
    ("post", "/v1/persons/{record_id}/erase"): "guard",
    ("get", "/v1/persons/{record_id}/similar"): "read",
    ("get", "/v1/persons/{record_id}/timeline"): "read",
    ("put", "/v1/persons/{record_id}/not-same/{other_id}"): "judge",
    ("delete", "/v1/persons/{record_id}/not-same/{other_id}"): "judge",
    ("post", "/v1/persons/{record_id}/merge"): "write",
    ("delete", "/v1/persons/{record_id}/merge"): "write",
    ("get", "/v1/statistics"): "open",
    ("get", "/v1/digest"): "open",
    ("get", "/v1/snapshot"): "whole",
    ("get", "/v1/changes"): "open",
    ("post", "/v1/changes/ack"): "keyed",
    ("get", "/v1/changes/unconfirmed"): "edit",
    ("post", "/v1/bulk"): "bulk",
    ("get", "/v1/proposals"): "queue",
    ("post", "/v1/proposals/{proposal_id}/accept"): "decide",
    ("post", "/v1/proposals/{proposal_id}/reject"): "decide",
}
for _measure in (
    *("events", "incidents", "persons", "cases", "charges", "persons_charged", "persons_convicted", "sentences"),
    *("arrest_days", "imprisonment_days", "fines", "persons_in_status", "organisations_in_status", "list_entries"),
):
    TABLE["get", f"/v1/statistics/{_measure}"] = "open"
for _exported in (*RESOURCES, "charges", "sentences"):
    TABLE["get", f"/v1/{_exported}/export"] = "whole"
for _resource in RESOURCES:
    _one = f"/v1/{_resource}/{{record_id}}"
    TABLE |= {
        ("get", f"/v1/{_resource}"): "list",
        ("post", f"/v1/{_resource}"): "make",
        ("get", _one): "read",
        ("put", _one): "write",
        ("patch", _one): "write",
        ("delete", _one): "write",
        ("get", f"{_one}/history"): "edit",
    }

OK, KEY, ROLE = (200,) * 3, (401,) * 3, (403,) * 3
CALLERS = ("public", "partner", "editor", "guardian", "revoked")
STATUSES = {
    # rule: what each of the callers gets for a record at level public, partner, restricted
    "keyless": (OK, OK, OK, OK, OK),
    "open": (OK, OK, OK, OK, KEY),
    "list": (OK, OK, OK, OK, KEY),
    "whole": (OK, OK, OK, OK, KEY),
    "keyed": (KEY, (204,) * 3, (204,) * 3, (204,) * 3, KEY),
    "judge": (KEY, ROLE, (204,) * 3, (204,) * 3, KEY),
    "bulk": (KEY, OK, OK, OK, KEY),
    "queue": (KEY, ROLE, OK, OK, KEY),
    "decide": (KEY, ROLE, (404,) * 3, (404,) * 3, KEY),
    "read": ((200, 404, 404), (200, 200, 404), OK, OK, KEY),
    "make": (KEY, ROLE, (201,) * 3, (201,) * 3, KEY),
    "write": (KEY, ROLE, OK, OK, KEY),
    "edit": (KEY, ROLE, OK, OK, KEY),
    "guard": (KEY, ROLE, ROLE, OK, KEY),
}
EXPECTED = {rule: dict(zip(CALLERS, statuses, strict=True)) for rule, statuses in STATUSES.items()}


async def _revoked(api: Api) -> httpx.AsyncClient:
    text = await keys.create(api.site.url, "was an editor", "editor", "x", timedelta(days=1))
    await keys.revoke(api.site.url, text.split("_")[1])
    transport = httpx.ASGITransport(app=api.app)
    return httpx.AsyncClient(transport=transport, base_url="http://t", headers={"Authorization": f"Bearer {text}"})


async def test_every_operation_is_in_the_table(api: Api) -> None:
    operations = {(m, p) for p, ops in api.app.openapi()["paths"].items() for m in ops}
    assert operations == set(TABLE)


async def _ask(  # noqa: C901, PLR0912 -- each operation that needs something of its own
    client: httpx.AsyncClient, method: str, path: str, record: dict[str, Any] | None
) -> httpx.Response:
    kind = path.split("/")[2] if path.startswith("/v1/") else ""
    of = record["id"] if record else uuid4()
    url = path.format(record_id=of, kind="not-found", name="sex", other_id="{other_id}", proposal_id=uuid4())
    body: Any = None
    if "{other_id}" in path or path.endswith("/merge"):
        url, body = await _two(client, method, url, record)
    elif path == "/v1/changes":
        url += "?cursor=" + _cursor(await client.get("/v1/snapshot"))
    elif path == "/v1/changes/ack":
        body = {"cursor": _cursor(await client.get("/v1/snapshot"))}
    elif path == "/v1/bulk":
        body = [{"type": "person", "origin_id": uuid4().hex, "data": {**MINIMAL["persons"], **PUBLIC}}]
    elif path == "/v1/digest":
        url += "?type=person"
    elif path.endswith("_in_status"):
        url += "?status=in_custody&at=2024-01-01"
    elif path.endswith("/fines"):
        url += "?unit=RUB"
    elif path.endswith("/accept"):
        body = {}
    elif path.endswith("/protected"):
        body = {"health": ["unwell"]}
    elif path.endswith("/erase"):
        body = {"reason": "error"}
    elif method == "patch":
        body = {"confidence": "probable"}
    elif method in {"put", "post"} and body is None and kind in MINIMAL:
        body = {**MINIMAL[kind], **PUBLIC}
        if kind == "statutes":
            body["article"] = uuid4().hex[:8]
        if kind == "statuses":
            body["person"] = record["person"]["id"] if record else None
    if method in {"get", "delete"}:
        return await client.request(method, url, headers={"If-Match": "*"})
    return await client.request(method, url, json=body, headers={"If-Match": "*"})


def _cursor(snapshot: httpx.Response) -> str:
    """Return the cursor that a snapshot begins with; nonsense where the caller gets no snapshot."""
    return str(json.loads(snapshot.text.splitlines()[0])["cursor"]) if snapshot.is_success else "none"


async def _two(client: httpx.AsyncClient, method: str, url: str, record: dict[str, Any] | None) -> tuple[str, Any]:
    """Record another person of the same level, by whoever may; what is to be undone is done before."""
    assert record is not None
    whole = {**MINIMAL["persons"], **PUBLIC, "level": record["level"]}
    made = await client.post("/v1/persons", json=whole)
    other = made.json()["id"] if made.is_success else str(uuid4())
    url = url.replace("{other_id}", other)
    body = {"into": other} if url.endswith("/merge") else None
    if method == "delete":
        headers = {"If-Match": "*"}
        await (client.post(url, json=body, headers=headers) if body else client.put(url))
    return url, body


@pytest.mark.parametrize("caller", ["public", "partner", "other_partner", "editor", "guardian", "revoked"])
async def test_every_operation_answers_every_caller_as_the_table_says(api: Api, caller: str) -> None:
    client = await _revoked(api) if caller == "revoked" else getattr(api, caller)
    for (method, path), rule in TABLE.items():
        expected = EXPECTED[rule]["partner" if caller == "other_partner" else caller]
        kind = path.split("/")[2] if path.startswith("/v1/") else ""
        for level, status in zip(LEVELS, expected, strict=True):
            record = None
            if rule in {"open", "keyless", "keyed"} and level != "public":
                continue  # it is asked of no record
            if kind in MINIMAL:
                extra = {"article": uuid4().hex[:8]} if kind == "statutes" else {}
                record = await make(api.editor, kind, level=level, **extra)
            answer = await _ask(client, method, path, record)
            wanted = 204 if (method, status, rule) == ("delete", 200, "write") and "merge" not in path else status
            assert answer.status_code == wanted, f"{caller} {method} {path} {level}: {answer.text[:200]}"
            if rule == "list" and record is not None and status == 200:
                listed = [item["id"] for item in answer.json()["items"]]
                assert (record["id"] in listed) == (SEES[caller] >= LEVELS.index(level)), f"{caller} {path} {level}"
            if rule == "whole" and record is not None and status == 200:
                assert (record["id"] in answer.text) == (SEES[caller] >= LEVELS.index(level)), (
                    f"{caller} {path} {level}"
                )
    if caller == "revoked":
        await client.aclose()


CHILDREN = {
    "places": "names",
    "organisations": "names",
    "persons": "names",
    "statutes": "titles",
    "cases": "charges",
    "events": "participants",
}
CHILD: dict[str, dict[str, Any]] = {
    "names": {"text": "A part"},
    "titles": {"text": "A part"},
    "charges": {"status": "charged", "count": 2},
    "participants": {"role": "victim", "count": 2},
}


@pytest.mark.parametrize("caller", SEES)
@pytest.mark.parametrize("level", LEVELS)
async def test_a_part_is_seen_at_its_level(api: Api, caller: str, level: str) -> None:
    client, seen = getattr(api, caller), SEES[caller] >= LEVELS.index(level)
    source = await make(api.editor, "sources")
    for kind in RESOURCES:
        cited = [{"source": source["id"], "level": level}]
        parts = {CHILDREN[kind]: [{**CHILD[CHILDREN[kind]], "level": level}]} if kind in CHILDREN else {}
        record = await make(api.editor, kind, citations=cited, **parts)
        shown = (await client.get(f"/v1/{kind}/{record['id']}")).json()
        for name in ("citations", *parts):
            assert bool(shown[name]) == seen, (kind, name)


@pytest.mark.parametrize("caller", SEES)
@pytest.mark.parametrize("level", LEVELS)
async def test_a_record_is_seen_at_the_level_of_what_it_names(api: Api, caller: str, level: str) -> None:
    client, seen = getattr(api, caller), SEES[caller] >= LEVELS.index(level)
    at = {kind: (await make(api.editor, kind, level=level, **({"article": "9"} if kind == "statutes" else {})))["id"]
          for kind in ("places", "organisations", "sources", "statutes", "persons", "cases", "figures")}  # fmt: skip
    tied: list[tuple[str, dict[str, Any]]] = [
        ("places", {"parent": at["places"]}),
        ("organisations", {"place": at["places"]}),
        ("organisations", {"parent": at["organisations"]}),
        ("sources", {"publisher": at["organisations"]}),
        ("cases", {"court": at["organisations"]}),
        ("cases", {"parent": at["cases"]}),
        ("cases", {"judges": [at["persons"]]}),
        ("cases", {"charges": [{"person": at["persons"], "status": "charged"}]}),
        ("cases", {"charges": [{"statute": at["statutes"], "status": "charged"}]}),
        ("cases", {"sentences": [{"person": at["persons"], "outcome": "convicted"}]}),
        ("events", {"place": at["places"]}),
        ("events", {"facility": at["organisations"]}),
        ("events", {"case": at["cases"]}),
        ("events", {"statutes": [at["statutes"]]}),
        ("events", {"participants": [{"person": at["persons"], "role": "victim"}]}),
        ("events", {"participants": [{"organisation": at["organisations"], "role": "victim"}]}),
        ("statuses", {"person": at["persons"]}),
        ("statuses", {"organisation": at["organisations"]}),
        ("figures", {"source": at["sources"]}),
        ("figures", {"base": at["figures"]}),
    ]
    for kind, fields in tied:
        if kind == "statuses" and "organisation" in fields:
            answer = await api.editor.post("/v1/statuses", json={**PUBLIC, "kind": "in_custody", **fields})
            record = answer.json()
        else:
            record = await make(api.editor, kind, **fields)
        found = await client.get(f"/v1/{kind}/{record['id']}")
        assert (found.status_code == 200) == seen, (kind, fields)
    # A tie that is itself as strict does not hide the record, and is not seen in it.
    strict = {"participants": [{"person": at["persons"], "role": "victim", "level": level}]}
    record = await make(api.editor, "events", **strict)
    shown = await client.get(f"/v1/events/{record['id']}")
    assert (shown.status_code, bool(shown.json()["participants"])) == (200, seen)


async def test_each_reading_of_the_protected_part_is_recorded(api: Api, owner: Any) -> None:
    person = (await make(api.editor, "persons"))["id"]
    url = f"/v1/persons/{person}/protected"
    assert (await api.guardian.put(url, json={"health": ["unwell"]})).status_code == 200
    for _ in range(2):
        answer = await api.guardian.get(url)
        assert (answer.json()["health"], answer.headers["cache-control"]) == (["unwell"], "no-store")
    found = await owner.fetch("SELECT actor, person_id::text FROM protected_reads")
    assert [tuple(r) for r in found] == [("guardian", person)] * 2
