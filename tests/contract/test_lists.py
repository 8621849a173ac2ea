"""What every list keeps to: its bounds, its parameters, its shape, its links and its conditional answers."""

import base64
import re
from typing import Any

import httpx
import pytest

from tests.conftest import Api
from tests.contract.document import LISTS, RESOURCES, Operation, named
from tests.factories import make

pytestmark = pytest.mark.anyio

EACH = pytest.mark.parametrize("operation", LISTS, ids=str)
RECORDED = pytest.mark.parametrize("operation", [o for o in LISTS if named(o) in RESOURCES], ids=str)


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Assert that an answer is that problem, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (body["status"], body["type"]) == (status, f"/problems/{kind}")
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def known_values(operation: Operation, parameter: str) -> list[str]:
    """Return the values that the document names for `sort`, `include` or `fields`."""
    described = operation.parameters("query")[parameter]["description"]
    found = re.search(r"Known here: (.+)\.$", described)
    assert found, f"{parameter} does not say what it takes"
    return found[1].split(", ")


@EACH
@pytest.mark.parametrize("limit", ["0", "-1", "201", "1e9", "x", "", "1.5", "9" * 30, "9" * 5000, "%00", "true", "NaN"])
async def test_a_limit_outside_its_bounds_is_refused(api: Api, operation: Operation, limit: str) -> None:
    answer = await api.public.get(f"{operation.path}?limit={limit}")
    assert [e["pointer"] for e in problem(answer, 422, "invalid")["errors"]] == ["?limit"]


@EACH
async def test_an_unknown_parameter_is_refused_and_named(api: Api, operation: Operation) -> None:
    for name in ("nonsense", "Limit", "limit[]", "created_at", "effective_level"):
        body = problem(await api.public.get(operation.path, params={name: "1"}), 422, "invalid")
        assert [e["pointer"] for e in body["errors"]] == [f"?{name}"]


@EACH
@pytest.mark.parametrize("parameter", ["sort", "include", "fields"])
async def test_an_unknown_name_is_refused_with_those_that_are_known(
    api: Api, operation: Operation, parameter: str
) -> None:
    answer = await api.editor.get(operation.path, params={parameter: "no_such_name"})
    (wrong,) = problem(answer, 422, "invalid")["errors"]
    assert wrong["pointer"] == f"?{parameter}"
    assert sorted(wrong["detail"].partition(": ")[2].split(", ")) == known_values(operation, parameter)


@EACH
async def test_every_name_in_the_document_is_taken(api: Api, operation: Operation) -> None:
    for parameter in ("sort", "include", "fields"):
        for value in known_values(operation, parameter):
            answer = await api.editor.get(operation.path, params={parameter: value})
            assert answer.status_code == 200, (parameter, value, answer.text)


@EACH
async def test_a_list_of_nothing_is_empty(api: Api, operation: Operation) -> None:
    empty = await api.public.get(operation.path)
    assert empty.status_code == 200
    assert empty.json() == {"items": [], "next": None}
    assert "link" not in empty.headers
    counted = await api.public.get(operation.path, params={"count": "exact"})
    assert counted.json() == {"items": [], "next": None, "count": 0}


@EACH
async def test_a_list_is_not_sent_twice(api: Api, operation: Operation) -> None:
    first = await api.public.get(operation.path)
    etag = first.headers["etag"]
    assert re.fullmatch(r'"[!#-~]+"', etag), "strong, quoted"
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        again = await api.public.get(operation.path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = await api.public.get(operation.path, headers={"If-None-Match": '"other"'})
    assert other.status_code == 200


@RECORDED
async def test_the_link_header_is_the_next_page(api: Api, operation: Operation) -> None:
    resource = named(operation)
    made = {(await make(api.editor, resource, **distinct(resource, n)))["id"] for n in range(3)}
    query = {"limit": "2", "count": "exact", "sort": "-id"}
    first = await api.public.get(operation.path, params=query)
    page = first.json()
    assert first.headers["link"] == f'<{page["next"]}>; rel="next"'
    assert page["count"] == 3
    second = await api.public.get(page["next"])
    assert second.json()["next"] is None
    assert second.json()["count"] == 3, "the parameters are kept"
    ids = [r["id"] for r in [*page["items"], *second.json()["items"]]]
    assert ids == sorted(made, reverse=True)


@RECORDED
async def test_a_cursor_from_elsewhere_is_refused(api: Api, operation: Operation) -> None:
    resource = named(operation)
    for n in range(2):
        await make(api.editor, resource, **distinct(resource, n))
    page = (await api.public.get(operation.path, params={"limit": "1"})).json()
    cursor = httpx.URL(page["next"]).params["cursor"]
    middle = len(cursor) // 2
    tampered = cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :]
    sealed = base64.urlsafe_b64encode(b"\0" * 9 + b'["x"]').decode()
    garbage = ["", "x", "....", "é", "A" * 2000, cursor[:-3], cursor + "AAAA", tampered, sealed, "null", "\0", "🙈"]
    for wrong in garbage:
        answer = await api.public.get(operation.path, params={"limit": "1", "cursor": wrong})
        problem(answer, 400, "invalid-cursor")
    # A good one with another order, other filters, or of another list.
    problem(await api.public.get(operation.path, params={"cursor": cursor, "sort": "-id"}), 400, "invalid-cursor")
    source = {"cursor": cursor, next(f for f in own_filters(operation) if f != "exact"): "something"}
    problem(await api.public.get(operation.path, params=source), 400, "invalid-cursor")
    other = next(o for o in LISTS if o is not operation)
    problem(await api.public.get(other.path, params={"cursor": cursor}), 400, "invalid-cursor")
    assert (await api.public.get(operation.path, params={"cursor": cursor})).status_code == 200


def own_filters(operation: Operation) -> list[str]:
    """Return the names of the filters that take any of several texts."""
    return [n for n, p in operation.parameters("query").items() if p["schema"].get("items", {}).get("type") == "string"]


def distinct(resource: str, n: int) -> dict[str, Any]:
    """Return what keeps a record apart from the others of its kind, where something must."""
    return {"article": str(n + 1)} if resource == "statutes" else {}
