"""Bodies that are no JSON, too much of it, or contradict what is recorded: refused as problems, and nothing is kept."""

import json
import os
import unicodedata
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.crud import merge
from tests.conftest import Api
from tests.contract.document import CREATES, Operation
from tests.contract.test_lists import problem
from tests.factories import MINIMAL, PUBLIC, make

pytestmark = pytest.mark.anyio

CANARY = b"cAnArY7"
JSON = {"Content-Type": "application/json"}


def corpus(*parts: str) -> Path:
    """Return a file or folder of the public test data; skip where it is not at hand."""
    if (root := os.environ.get("CHRONIKA_TEST_DATA")) is None:
        pytest.skip("CHRONIKA_TEST_DATA does not say where the public test data is")
    return Path(root).joinpath(*parts)


BROKEN: dict[str, bytes] = {
    "empty": b"",
    "spaces": b"  ",
    "500 lists deep": b"[" * 500 + b"]" * 500,
    "500 objects deep": b'{"a":' * 500 + b"1" + b"}" * 500,
    "500 deep in a field": b'{"names":' + b"[" * 500 + b"]" * 500 + b"}",
    "100000 lists open": b"[" * 100_000,
    "NaN": b'{"kind": NaN}',
    "Infinity": b'{"value": -Infinity, "kind": "cAnArY7"}',
    "1e400": b'{"value": 1e400, "measure": "events"}',
    "a number of 5000 digits": b'{"value": ' + b"9" * 5000 + b"}",
    "duplicate members": b'{"kind": "cAnArY7", "kind": "ngo"}',
    "duplicate members inside": b'{"names": [{"text": "cAnArY7", "text": "b"}]}',
    "invalid UTF-8": b'{"kind": "cAnArY7\xff\xfe"}',
    "surrogates as UTF-8": b'{"kind": "cAnArY7\xed\xa0\x80"}',
    "overlong UTF-8": b'{"kind": "cAnArY7\xc0\x80"}',
    "UTF-16": '{"kind": "cAnArY7"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"kind": "cAnArY7"}',
    "cut": b'{"kind": "cAnArY7',
    "a list": b'["cAnArY7"]',
    "a text": b'"cAnArY7"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "a comment": b'{"kind": "cAnArY7" /* no */}',
    "a form": b"kind=cAnArY7",
}


@pytest.fixture
async def unchanged(api: Api) -> AsyncIterator[Api]:
    """Give the application, and see that nothing was recorded meanwhile."""
    yield api
    records = (await api.guardian.get("/v1/status")).json()["records"]
    assert set(records.values()) == {0}, "a refused body left something behind"


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_body_is_refused_by_every_resource(unchanged: Api, name: str) -> None:
    for operation in CREATES:
        answer = await unchanged.editor.post(operation.path, content=BROKEN[name], headers=JSON)
        assert answer.status_code in {400, 422}, (operation.path, answer.status_code, answer.text)
        problem(answer, answer.status_code, answer.json()["type"].rpartition("/")[2])
        assert CANARY not in answer.content


@pytest.mark.parametrize("operation", CREATES, ids=str)
async def test_another_media_type_is_refused(unchanged: Api, operation: Operation) -> None:
    for kind in (
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/merge-patch+json",
        "multipart/form-data; boundary=x",
        "application/json-seq",
        "APPLICATION/OCTET-STREAM",
        "x",
        "é",
    ):
        headers = [(b"Content-Type", kind.encode())]
        answer = await unchanged.editor.post(operation.path, content=b'{"kind": "cAnArY7"}', headers=headers)
        problem(answer, 415, "unsupported-media-type")
    problem(await unchanged.editor.post(operation.path, content=b"{}"), 415, "unsupported-media-type")


@pytest.mark.parametrize("operation", CREATES, ids=str)
async def test_too_much_is_refused(unchanged: Api, operation: Operation) -> None:
    ten = b'{"citations": "' + CANARY * 1_500_000 + b'"}'
    problem(await unchanged.editor.post(operation.path, content=ten, headers=JSON), 413, "too-large")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield CANARY * 5000

    answer = await unchanged.editor.post(operation.path, content=chunks(), headers=JSON)
    problem(answer, 413, "too-large")
    nearly = json.dumps({"citations": "x" * 900_000}).encode()
    problem(await unchanged.editor.post(operation.path, content=nearly, headers=JSON), 422, "invalid")


def parsing() -> Iterator[Path]:
    """Yield the files of the JSON parsing suite."""
    yield from sorted(corpus("json-parsing-nst", "test_parsing").glob("*.json"))


async def test_the_parsing_suite(unchanged: Api) -> None:
    """n_: must be refused; y_ and i_: JSON that is no record, which must not fail either."""
    files = list(parsing())
    assert len(files) > 300
    for file in files:
        for headers in (JSON, {"Content-Type": "application/json; charset=utf-8"}):
            answer = await unchanged.editor.post("/v1/statutes", content=file.read_bytes(), headers=headers)
            assert answer.status_code in {400, 422}, (file.name, answer.status_code, answer.text)


def test_the_merge_patches_of_rfc_7396() -> None:
    cases = json.loads(corpus("merge-patch-rfc7396", "index.json").read_text(encoding="utf-8"))
    assert len(cases) >= 15
    for case in cases:
        assert merge(case["original"], case["patch"]) == case["result"], case


async def test_naughty_strings_are_kept_as_they_are_or_refused(api: Api) -> None:
    texts = json.loads(corpus("naughty-strings", "blns.json").read_text(encoding="utf-8"))
    kept = 0
    for n, text in enumerate(texts):
        body = {"names": [{"text": text}], **PUBLIC}
        answer = await api.editor.post("/v1/persons", content=json.dumps(body).encode(), headers=JSON)
        assert answer.status_code in {201, 422}, (text, answer.status_code, answer.text)
        if answer.status_code == 201:
            read = await api.public.get(answer.headers["location"])
            assert read.json()["names"][0]["text"] == unicodedata.normalize("NFC", text).strip()
            kept += 1
        if n % 5 == 0:
            found = await api.public.get("/v1/persons", params={"q": text})
            assert found.status_code in {200, 422}, (text, found.status_code, found.text)
    assert kept > len(texts) * 0.9
    assert (await api.public.get("/v1/persons", params={"count": "exact"})).json()["count"] == kept


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("statuses", {"start": "2024-02", "end": "2024-01"}, ""),
    ("persons", {"born": "2023-02-30"}, "/born/edtf"),
    ("persons", {"born": "2024", "died": "1990"}, ""),
    ("events", {"date": "2024-13"}, "/date/edtf"),
    ("events", {"type": "no_such_type"}, "/type"),
    ("events", {"place": "no-such-place"}, "/place"),
    ("events", {"participants": [{"role": "victim"}]}, ""),
    (
        "events",
        {"participants": [{"role": "victim", "person": "00000000-0000-4000-8000-000000000000"}]},
        "/participants/0/person",
    ),
    ("cases", {"charges": [{"status": "charged", "statute": "XX-nothing"}]}, "/charges/0/statute"),
    ("cases", {"opened": "2024-02", "decided": "2024-01"}, ""),
    ("statutes", {"part": "1", "article": None}, ""),
    ("statutes", {"valid_from": "2024-02", "valid_to": "2024-01"}, ""),
    ("figures", {"from": "2024-02", "to": "2024-01"}, ""),
    ("figures", {"value": 0.1234567}, "/value"),
    ("organisations", {"founded": "2024", "dissolved": "1990"}, ""),
    ("sources", {"url": "javascript:alert(1)"}, "/url"),
    ("persons", {"level": "public", "publication_ground": None}, ""),
    ("persons", {"nonsense": 1}, "/nonsense"),
    ("persons", {"affiliations": [{"from": "2024-02", "to": "2024-01"}]}, "/affiliations/0"),
]


@pytest.mark.parametrize(
    ("resource", "fields", "pointer"), WRONG, ids=[f"{r} {next(iter(f))} {n}" for n, (r, f, _) in enumerate(WRONG)]
)
async def test_what_contradicts_itself_is_refused(
    api: Api, resource: str, fields: dict[str, Any], pointer: str
) -> None:
    body = {**MINIMAL[resource], **PUBLIC, **fields}
    if resource == "statuses":
        body["person"] = (await make(api.editor, "persons"))["id"]
    answer = await api.editor.post(f"/v1/{resource}", json=body)
    assert pointer in [e["pointer"] for e in problem(answer, 422, "invalid")["errors"]], answer.text
    assert (await api.editor.get(f"/v1/{resource}")).json()["items"] == []


@pytest.mark.parametrize("resource", ["places", "organisations", "cases"])
async def test_nothing_contains_itself(api: Api, resource: str) -> None:
    top = await make(api.editor, resource)
    middle = await make(api.editor, resource, parent=top["id"])
    low = await make(api.editor, resource, parent=middle["id"])
    for record, parent in ((top, top), (top, middle), (top, low), (middle, low)):
        url = f"/v1/{resource}/{record['id']}"
        answer = await api.editor.patch(url, json={"parent": parent["id"]}, headers={"If-Match": "*"})
        problem(answer, 422, "invalid")
        assert (await api.editor.get(url)).json()["version"] == 1
