"""What every record keeps to when it is read by its id, and what paths and methods that do not exist answer."""

import re
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import Api
from tests.contract.document import DETAILS, DOCUMENT, ID, OPERATIONS, Operation, named, resolve
from tests.contract.test_lists import known_values, problem
from tests.factories import make

pytestmark = pytest.mark.anyio

EACH = pytest.mark.parametrize("operation", DETAILS, ids=str)
UNDER_ID = [o for o in OPERATIONS if ID in o.path]


@pytest.mark.parametrize("operation", UNDER_ID, ids=str)
async def test_a_malformed_id_is_refused(api: Api, operation: Operation) -> None:
    for wrong in ("x", "1", "%00", "%F0%9F%99%88", "g" * 36, "9" * 400, str(uuid4())[:-1]):
        url = operation.path.replace(ID, wrong)
        answer = await api.guardian.request(
            operation.method, url, json={} if operation.said.get("requestBody") else None
        )
        assert "path:record_id" in [e["pointer"] for e in problem(answer, 422, "invalid")["errors"]]


def least(schema: dict[str, Any]) -> Any:
    """Return something that a required field takes."""
    return schema["enum"][0] if "enum" in schema else str(uuid4())


@pytest.mark.parametrize("operation", [o for o in UNDER_ID if o.method != "put" or "protected" in o.path], ids=str)
async def test_an_unknown_id_is_not_found(api: Api, operation: Operation) -> None:
    url = operation.path.replace(ID, str(uuid4())).replace("{other_id}", str(uuid4()))
    schema = resolve(operation.body() or {})
    body = {name: least(resolve(schema["properties"][name])) for name in schema.get("required", [])} if schema else None
    problem(await api.guardian.request(operation.method, url, json=body, headers={"If-Match": "*"}), 404, "not-found")


@EACH
async def test_a_record_is_not_sent_twice(api: Api, operation: Operation) -> None:
    made = await make(api.editor, named(operation))
    url = operation.path.replace(ID, made["id"])
    first = await api.public.get(url)
    etag = first.headers["etag"]
    assert re.fullmatch(r'"1-[!#-~]+"', etag), "strong, quoted, and it begins with the version"
    assert first.json()["version"] == 1
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        again = await api.public.get(url, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    tag = {"If-Match": made["etag"]}
    assert (await api.editor.patch(url, json={"confidence": "probable"}, headers=tag)).status_code == 200
    changed = await api.public.get(url, headers={"If-None-Match": etag})
    assert (changed.status_code, changed.headers["etag"][:3]) == (200, '"2-')


@EACH
async def test_an_unknown_parameter_of_a_record_is_refused(api: Api, operation: Operation) -> None:
    url = operation.path.replace(ID, (await make(api.editor, named(operation)))["id"])
    for parameter in ("include", "fields"):
        answer = await api.editor.get(url, params={parameter: "no_such_name"})
        (wrong,) = problem(answer, 422, "invalid")["errors"]
        assert wrong["pointer"] == f"?{parameter}"
        assert sorted(wrong["detail"].partition(": ")[2].split(", ")) == known_values(operation, parameter)
        assert (await api.editor.get(url, params={parameter: ",".join(known_values(operation, parameter))})).is_success
    (wrong,) = problem(await api.public.get(url, params={"nonsense": "1"}), 422, "invalid")["errors"]
    assert wrong["pointer"] == "?nonsense"


@pytest.mark.parametrize("path", DOCUMENT["paths"])
async def test_a_method_that_a_path_does_not_take_is_refused(api: Api, path: str) -> None:
    url = path.replace(ID, str(uuid4())).replace("{name}", "sex").replace("{kind}", "invalid")
    # A fixed name stands where an id may: /v1/persons/export takes what /v1/persons/{record_id} does.
    also = {} if path.endswith("}") else DOCUMENT["paths"].get(f"{path.rpartition('/')[0]}/{ID}", {})
    taken = {m.upper() for m in (*DOCUMENT["paths"][path], *also)}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - taken:
        answer = await api.guardian.request(method, url)
        problem(answer, 405, "method-not-allowed")
        allowed = {m.strip() for m in answer.headers["allow"].split(",")}
        assert allowed - {"HEAD", "OPTIONS"} == taken


@pytest.mark.parametrize("path", DOCUMENT["paths"])
async def test_a_trailing_slash_is_another_path(api: Api, path: str) -> None:
    url = path.replace(ID, str(uuid4())).replace("{name}", "sex").replace("{kind}", "invalid")
    problem(await api.public.get(url + "/"), 404, "not-found")


async def test_an_unknown_path_is_not_found(api: Api) -> None:
    for path in (
        "/v1",
        "/v1/nothing",
        "/v2/persons",
        "/v1/persons/x/y/z",
        "/%00",
        "/..%2f..%2fetc/passwd",
        "/v1//persons",
    ):
        problem(await api.public.get(path), 404, "not-found")


@pytest.mark.parametrize("path", [p for p, m in DOCUMENT["paths"].items() if "get" in m and "{" not in p])
async def test_head_is_get_without_its_body(api: Api, path: str) -> None:
    whole, head = await api.public.get(path), await api.public.head(path)
    assert (head.status_code, head.content) == (whole.status_code, b"")
    for name in ("content-type", "etag", "cache-control"):
        assert head.headers.get(name) == whole.headers.get(name), name
