"""What is answered is what was declared: real answers against the read models and the OpenAPI document."""

import uuid
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

import httpx
import jsonschema_rs
import pytest

from app.core.records import EDITORS_ONLY, RESOURCES
from tests.conftest import Api
from tests.contract.document import CREATES, DETAILS, DOCUMENT, ID, LISTS, OPERATIONS, Operation, named
from tests.contract.test_lists import known_values
from tests.factories import MINIMAL, PUBLIC, make

pytestmark = pytest.mark.anyio

EACH_LIST = pytest.mark.parametrize("operation", LISTS, ids=str)
EACH_DETAIL = pytest.mark.parametrize("operation", DETAILS, ids=str)
AUDIENCES = pytest.mark.parametrize("audience", ["public", "partner", "editor", "guardian"])


@cache
def validator(schema: str) -> Any:
    """Return the validator of a named schema of the document, formats included."""
    whole = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def check_record(resource: str, record: dict[str, Any], *, editor: bool) -> None:
    """Assert that a record is as its read model and the document say, and shows nothing that is only for editors."""
    read = RESOURCES[resource].read
    read.model_validate(record)
    validator(read.__name__).validate(record)
    if editor:
        assert record.keys() == {i.alias or n for n, i in read.model_fields.items()}, "an editor sees every field"
    else:
        assert not EDITORS_ONLY & set(names(record))


def names(value: Any) -> Iterator[str]:
    """Yield every name of every object in an answer."""
    if isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names(inner)


async def pages(client: httpx.AsyncClient, path: str, **query: str) -> AsyncIterator[dict[str, Any]]:
    """Yield every page of a list."""
    following: str | None = str(httpx.URL(path, params=query))
    while following:
        answer = await client.get(following)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        yield page
        following = page["next"]


def check_answer(operation: Operation, answer: httpx.Response) -> Any:
    """Assert that an answer is as its operation declares it, and return it."""
    assert str(answer.status_code) in operation.said["responses"], (str(operation), answer.status_code, answer.text)
    kind = answer.headers["content-type"].partition(";")[0]
    schema = operation.said["responses"][str(answer.status_code)]["content"][kind]["schema"]
    body = answer.json()
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(body)
    return body


@EACH_LIST
@AUDIENCES
async def test_every_record_of_the_sample_is_as_declared(sample: Api, operation: Operation, audience: str) -> None:
    client, seen = getattr(sample, audience), 0
    async for page in pages(client, operation.path, limit="200"):
        for record in page["items"]:
            check_record(named(operation), record, editor=audience in {"editor", "guardian"})
        seen += len(page["items"])
    assert seen or audience in {"public", "partner"}, "the sample has records of every kind"


@EACH_LIST
@pytest.mark.parametrize("audience", ["public", "editor"])
async def test_whatever_is_included_is_as_declared(sample: Api, operation: Operation, audience: str) -> None:
    resource, client = RESOURCES[named(operation)], getattr(sample, audience)
    for name in known_values(operation, "include"):
        answer = await client.get(operation.path, params={"limit": "25", "include": name})
        for record in answer.json()["items"]:
            own = {k: v for k, v in record.items() if k not in resource.includes and k != "more"}
            check_record(resource.name, own, editor=audience == "editor")
            if name in resource.includes:
                assert isinstance(record["more"], dict)
                for embedded in record[name]:
                    check_record(resource.includes[name].resource().name, embedded, editor=audience == "editor")


@EACH_LIST
async def test_fields_trims_to_what_was_asked_for(sample: Api, operation: Operation) -> None:
    for name in known_values(operation, "fields"):
        page = (await sample.editor.get(operation.path, params={"fields": name, "limit": "5"})).json()
        assert [set(r) for r in page["items"]] == [{name}] * len(page["items"])
        answer = await sample.public.get(operation.path, params={"fields": name})
        assert answer.status_code == (422 if name in EDITORS_ONLY else 200), "what only editors have is not there"


@EACH_DETAIL
@AUDIENCES
async def test_a_record_read_alone_is_the_record_in_the_list(sample: Api, operation: Operation, audience: str) -> None:
    client, path = getattr(sample, audience), operation.path.removesuffix("/" + ID)
    for record in (await client.get(path, params={"limit": "10", "sort": "-id"})).json()["items"]:
        answer = await client.get(f"{path}/{record['id']}")
        assert check_answer(operation, answer) == record
        assert "created_at" not in record or audience in {"editor", "guardian"}


@pytest.mark.parametrize("operation", CREATES, ids=str)
async def test_writing_answers_as_declared(api: Api, operation: Operation) -> None:
    resource = named(operation)
    by_id = {o.method: o for o in OPERATIONS if o.path == f"{operation.path}/{ID}"}
    body: dict[str, Any] = {**MINIMAL[resource], **PUBLIC}
    if resource == "statuses":
        body["person"] = (await make(api.editor, "persons"))["id"]
    made = await api.editor.post(operation.path, json=body)
    record = check_answer(operation, made)
    check_record(resource, record, editor=True)
    assert made.headers["location"] == f"{operation.path}/{record['id']}"
    url, tag = made.headers["location"], {"If-Match": made.headers["etag"]}
    patched = await api.editor.patch(url, json={"confidence": "probable"}, headers=tag)
    check_record(resource, check_answer(by_id["patch"], patched), editor=True)
    tag = {"If-Match": patched.headers["etag"]}
    replaced = await api.editor.put(url, json=body, headers=tag)
    check_record(resource, check_answer(by_id["put"], replaced), editor=True)
    other = {**body, **({"article": "77"} if resource == "statutes" else {})}
    put = await api.editor.put(f"{operation.path}/{uuid.uuid4()}", json=other)
    assert put.status_code == 201
    check_record(resource, check_answer(by_id["put"], put), editor=True)
    history = next(o for o in OPERATIONS if o.path == f"{operation.path}/{ID}/history")
    versions = check_answer(history, await api.editor.get(f"{url}/history"))["items"]
    assert [v["version"] for v in versions] == [3, 2, 1]
    removed = await api.editor.delete(url, headers={"If-Match": replaced.headers["etag"]})
    assert (removed.status_code, removed.content) == (204, b"")
    for refused in (await api.public.get(url), await api.public.post(operation.path, json=body)):
        check_answer(by_id["get"] if refused.request.method == "GET" else operation, refused)
        assert not EDITORS_ONLY & set(names(refused.json()))


@pytest.mark.parametrize(
    "operation",
    [o for o in OPERATIONS if o.method == "get" and "{" not in o.path and o not in LISTS and o.answers_json()],
    ids=str,
)
@AUDIENCES
async def test_what_is_not_a_record_is_as_declared_too(sample: Api, operation: Operation, audience: str) -> None:
    body = check_answer(operation, await getattr(sample, audience).get(operation.path))
    assert audience in {"editor", "guardian"} or not EDITORS_ONLY & set(names(body))


async def test_each_vocabulary_is_as_declared(sample: Api) -> None:
    operation = next(o for o in OPERATIONS if o.path == "/v1/vocabularies/{name}")
    whole = (await sample.public.get("/v1/vocabularies")).json()["items"]
    for vocabulary in whole:
        answer = await sample.public.get(f"/v1/vocabularies/{vocabulary['name']}")
        assert check_answer(operation, answer) == vocabulary


@pytest.mark.parametrize("path", [o.path for o in OPERATIONS if o.method == "get" and o.path.endswith("/timeline")])
async def test_each_timeline_is_as_declared(sample: Api, path: str) -> None:
    operation = next(o for o in OPERATIONS if o.path == path)
    async for page in pages(sample.editor, path.partition("/" + ID)[0], fields="id", limit="200"):
        for record in page["items"][:20]:
            check_answer(operation, await sample.editor.get(path.replace(ID, record["id"])))
