"""A hidden id and one that never was answer alike: on every verb, in every filter, to everybody who may not see it."""

import re
from typing import Any

import httpx
import pytest

from tests.conftest import Api
from tests.factories import MINIMAL, PUBLIC, make
from tests.safety.world import visible

pytestmark = pytest.mark.anyio


def _absent(hidden: str) -> str:
    """Return an id or key that no record has and that looks like the hidden one, but for its last character."""
    return hidden[:-1] + ("7" if hidden[-1] != "7" else "8")


CLOCK = re.compile(r'"as_of": ?"[^"]*"|"cursor": ?"[^"]*"|"sha256": ?"[^"]*"(?=}\n$)')
"""What differs with the moment of an answer, or repeats the question: a cursor holds a hash of `exclude_origin`."""


def _plain(answer: httpx.Response, hidden: str) -> tuple[Any, ...]:
    text = CLOCK.sub("", answer.text.replace(hidden, _absent(hidden)))
    return answer.status_code, answer.headers.multi_items(), text


async def _alike(client: httpx.AsyncClient, method: str, path: str, hidden: str, body: Any = None) -> httpx.Response:
    answers = []
    for record_id in (hidden, _absent(hidden)):
        text = None if body is None else {k: (record_id if v == "@" else v) for k, v in body.items()}
        headers = {"X-Request-Id": "samesame", "If-Match": "*"}
        answers.append(await client.request(method, path.replace("@", record_id), json=text, headers=headers))
    assert _plain(answers[0], hidden) == _plain(answers[1], hidden), f"{method} {path}"
    return answers[0]


async def test_hidden_and_absent_records_are_alike_on_every_verb(api: Api) -> None:
    made = await visible(api.editor, "restricted")
    for path, operations in api.app.openapi()["paths"].items():
        if "{record_id}" not in path:
            continue
        kind = path.split("/")[2]
        url = path.replace("{record_id}", "@")
        body = {**MINIMAL[kind], **PUBLIC}
        for method in {*operations, "get", "put", "patch", "delete", "post", "head", "options"}:
            for client in (api.public, api.partner):
                answer = await _alike(
                    client, method, url, made[kind]["id"], None if method in {"get", "head"} else body
                )
                assert answer.status_code >= 400
                assert made[kind]["id"] not in answer.text


async def test_hidden_and_absent_records_are_alike_in_filters_and_keys(api: Api) -> None:
    made = await visible(api.editor, "restricted")
    shown = await visible(api.editor)
    ids = {kind: record["id"] for kind, record in made.items()}
    known = [*ids.values(), made["statutes"]["key"], made["places"]["code"]]
    asked = 0
    for path, operations in api.app.openapi()["paths"].items():
        for parameter in operations.get("get", {}).get("parameters", []):
            if parameter["in"] == "query" and "{" not in path:
                # One to each, in turn: a parameter that takes ids meets every kind in some list.
                for hidden in (known[asked % len(known)],):
                    await _alike((api.public, api.partner)[asked % 2], "get", f"{path}?{parameter['name']}=@", hidden)
                    asked += 1
    assert asked > 100
    assert shown


@pytest.mark.parametrize("client", ["public", "partner"])
async def test_a_deleted_hidden_record_answers_as_one_that_never_was(api: Api, client: str) -> None:
    for kind in MINIMAL:
        record = await make(api.editor, kind, level="restricted")
        await api.editor.delete(f"/v1/{kind}/{record['id']}", headers={"If-Match": "*"})
        answer = await _alike(getattr(api, client), "get", f"/v1/{kind}/@", record["id"])
        assert answer.status_code == 404


async def test_nobody_but_editors_can_meet_a_conflict_with_a_hidden_row(api: Api) -> None:
    """Unique and foreign keys ignore row-level security; whoever cannot see all rows cannot get as far as these."""
    hidden = await make(api.editor, "places", code="XX-H", level="restricted", origin="o", origin_id="1")
    for body in (
        {**PUBLIC, "kind": "city", "code": "@"},
        {**PUBLIC, "kind": "city", "parent": "@"},
        {**PUBLIC, "kind": "city", "origin": "o", "origin_id": "@"},
    ):
        for known in (hidden["id"], "XX-H", "1"):
            for client in (api.public, api.partner):
                answer = await _alike(client, "post", "/v1/places", known, body)
                assert answer.status_code in {401, 403}
