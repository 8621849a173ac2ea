"""One effect for one request: idempotency keys and conditional changes, many at once and on a real process."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from tests.conftest import Api, Server
from tests.contract.document import CREATES, Operation, named
from tests.contract.test_lists import problem
from tests.factories import MINIMAL, PUBLIC, make

pytestmark = pytest.mark.anyio

EACH = pytest.mark.parametrize("operation", CREATES, ids=str)
AT_ONCE = 40


async def body_of(client: httpx.AsyncClient, operation: Operation) -> dict[str, object]:
    """Return a body that this operation takes."""
    resource = named(operation)
    body = {**MINIMAL[resource], **PUBLIC, "origin_id": str(uuid4())}
    if resource == "statuses":
        body["person"] = (await make(client, "persons"))["id"]
    if resource == "statutes":
        body["article"] = uuid4().hex
    return body


@EACH
async def test_a_repeat_gets_the_first_answer(api: Api, operation: Operation) -> None:
    body, key = await body_of(api.editor, operation), {"Idempotency-Key": "a key of my own: {}"}
    first = await api.editor.post(operation.path, json=body, headers=key)
    again = await api.editor.post(operation.path, json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    for name in ("location", "etag", "content-type", "cache-control"):
        assert again.headers[name] == first.headers[name]
    assert (await api.editor.get(operation.path, params={"count": "exact"})).json()["count"] == 1
    problem(await api.editor.post(operation.path, json={**body, "level": "partner"}, headers=key), 422, "invalid")
    # Another holder's key of the same text is another key.
    other = await api.guardian.post(operation.path, json={**body, "origin_id": "another"}, headers=key)
    assert other.status_code in {201, 409}, other.text
    assert "idempotency-replayed" not in other.headers


@EACH
async def test_a_failed_request_does_not_use_up_its_key(api: Api, operation: Operation) -> None:
    body, key = await body_of(api.editor, operation), {"Idempotency-Key": "k"}
    wrong = {**body, "confidence": "no_such_code"}
    problem(await api.editor.post(operation.path, json=wrong, headers=key), 422, "invalid")
    assert (await api.editor.post(operation.path, json=body, headers=key)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "x" * 300, "ключ", "a\x7fb", "\x01"])
async def test_a_key_of_another_form_is_refused(api: Api, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    answer = await api.editor.post("/v1/persons", json={**MINIMAL["persons"], **PUBLIC}, headers=headers)
    problem(answer, 400, "bad-request")
    assert (await api.editor.get("/v1/persons")).json()["items"] == []


@EACH
async def test_one_key_at_once_makes_one_record(server: Server, operation: Operation) -> None:
    limits = httpx.Limits(max_connections=AT_ONCE)
    headers = server.site.headers("editor")
    async with httpx.AsyncClient(base_url=server.url, headers=headers, limits=limits, timeout=60) as client:
        body, key = await body_of(client, operation), {"Idempotency-Key": str(uuid4())}
        requests = (client.post(operation.path, json=body, headers=key) for _ in range(AT_ONCE))
        answers = await asyncio.gather(*requests)
        again = [n for n, a in enumerate(answers) if a.status_code == 503]  # told to come back, so it does
        for n in again:
            answers[n] = await client.post(operation.path, json=body, headers=key)
        assert {a.status_code for a in answers} == {201}, [a.text for a in answers if a.status_code != 201]
        assert len({a.headers["location"] for a in answers}) == 1
        assert len({a.content for a in answers}) == 1
        assert sum("idempotency-replayed" in a.headers for a in answers) == AT_ONCE - 1


@EACH
async def test_of_changes_to_one_version_at_once_one_is_made(server: Server, operation: Operation) -> None:
    limits = httpx.Limits(max_connections=8)
    headers = server.site.headers("editor")
    async with httpx.AsyncClient(base_url=server.url, headers=headers, limits=limits, timeout=60) as client:
        made = await client.post(operation.path, json=await body_of(client, operation))
        url, tag = made.headers["location"], {"If-Match": made.headers["etag"]}
        codes = ["confirmed", "probable"] * 4
        answers = await asyncio.gather(*(client.patch(url, json={"confidence": c}, headers=tag) for c in codes))
        assert sorted(a.status_code for a in answers) == [200] + [412] * 7, [a.text for a in answers]
        won = next(a for a in answers if a.status_code == 200)
        assert (await client.get(url)).json() == won.json()
        for refused in (a for a in answers if a.status_code == 412):
            assert problem(refused, 412, "changed-meanwhile")["version"] == 2
