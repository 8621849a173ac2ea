"""The short way to a reading answers as FastAPI's own does, to whatever is asked, and only ever a little sooner."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, Request, Response

from app.core.access import CallerDep, get_caller
from app.core.direct import Reading, Readings
from app.core.http import Route
from app.main import ROUTERS, create_app
from tests.conftest import Api
from tests.contract.document import ID, OPERATIONS, Operation

pytestmark = pytest.mark.anyio

OWN = {"x-request-id", "etag", "ratelimit", "date"}
"""Headers that differ from request to request, or follow from the body."""

CLOCKED = {"/v1/status", "/v1/snapshot", "/v1/changes", "/readyz"}
"""What tells the time, or gives a cursor that was made for this very answer."""

READINGS = [o for o in OPERATIONS if o.method == "get" and o.path not in CLOCKED and not o.path.endswith("/export")]


@pytest.fixture(scope="module")
async def both(sample: Api) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Serve the sample the short way and FastAPI's way."""
    patch = pytest.MonkeyPatch()
    settings = sample.site.settings().model_copy(update={"cache_mb": 0})
    short = create_app(settings)
    patch.setattr("app.main.Readings", lambda _routers: Readings(()))
    long = create_app(settings)
    patch.undo()
    yield tuple(  # type: ignore[misc]
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://chronika.test")
        for app in (short, long)
    )
    for app in (short, long):
        await app.state.database.close()


SOME = {
    "list_persons",
    "get_person",
    "get_person_history",
    "get_person_timeline",
    "list_measures",
    "count_events",
    "get_vocabulary",
    "list_unconfirmed_withdrawals",
}
"""One of each form; all of them in the full run."""

Both = tuple[httpx.AsyncClient, httpx.AsyncClient]


def _told(answer: httpx.Response) -> tuple[Any, ...]:
    content: Any = answer.content
    if content and answer.headers.get("content-type") == "application/problem+json":
        content = {k: v for k, v in json.loads(content).items() if k != "request_id"}
    return answer.status_code, {k: v for k, v in answer.headers.items() if k not in OWN}, content


async def _same(both: Both, method: str, url: str, **more: Any) -> int:
    short, long = [await client.request(method, url, **more) for client in both]
    assert _told(short) == _told(long), url
    return short.status_code


@pytest.fixture(scope="module")
async def some_id(sample: Api) -> str:
    """Return the id of a person with a case."""
    items = (await sample.public.get("/v1/persons?q=khrasko")).json()["items"]
    return str(items[0]["id"])


@pytest.mark.parametrize(
    "operation", [pytest.param(o, marks=[] if str(o) in SOME else pytest.mark.full) for o in READINGS], ids=str
)
async def test_each_reading(both: Both, sample: Api, some_id: str, operation: Operation) -> None:
    path = operation.path.replace(ID, some_id).replace("{name}", "event_type").replace("{kind}", "invalid")
    for headers in ({}, sample.site.headers("partner"), sample.site.headers("editor")):
        await _same(both, "GET", path, headers=headers)
    keyed = sample.site.headers("editor")
    await _same(both, "HEAD", path, headers=keyed)
    await _same(both, "POST", path, headers=keyed)
    for wrong in (f"{path}/", f"{path}?no=1", f"{path}?limit=1&no=1", f"{path}?%FF=1", f"{path}?=", f"{path}?&&"):
        await _same(both, "GET", wrong, headers=keyed)
    refused = {"Authorization": "Bearer chr_0000000000_0"}
    assert await _same(both, "GET", f"{path}?no=1", headers=refused) in {401, 200}, "who asks comes before what"


BRIEFLY = ("x", "1&{0}=2")
GIVEN = ("", "x", "2024-01-31", "1", "%D1%8F+%00", "a&{0}=b", "en&{0}=ru", "1&{0}=2", "2024-01-01&{0}=")
"""Values for a parameter: each right for some and wrong for others, once and twice."""


def _parameters() -> dict[tuple[str, str], tuple[str, str]]:
    """Return each query parameter once, with a path that takes it: once for its name and schema."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for o in READINGS:
        for name, said in o.parameters("query").items():
            found.setdefault((name, json.dumps(said["schema"], sort_keys=True)), (o.path, name))
    return found


@pytest.mark.parametrize("given", [BRIEFLY, pytest.param(GIVEN, marks=pytest.mark.full)], ids=["briefly", "all"])
async def test_each_parameter_however_it_is_given(both: Both, some_id: str, given: tuple[str, ...]) -> None:
    answers = []
    for path, name in _parameters().values():
        url = path.replace(ID, some_id)
        answers += [await _same(both, "GET", f"{url}?{name}={value.format(name)}") for value in given]
    assert {200, 422} <= set(answers) <= {200, 400, 401, 422}


async def test_paths_that_nearly_are_one(both: Both, some_id: str) -> None:
    for path in (
        "/v1/persons/{}",
        f"/v1/persons/{some_id.upper()}",
        f"/v1/persons/{some_id.replace('-', '')}",
        f"/v1/persons/x{some_id}",
        f"/v1/persons/{some_id}{some_id}",
        f"/v1/persons/{some_id}/history/{some_id}",
        f"/v1//persons/{some_id}",
        f"/v1/persons/{some_id}/timeline",
        f"/v1/{some_id}",
        "/v1/persons/export",
        "/v1/none",
    ):
        await _same(both, "GET", path)


def test_most_readings_are_found() -> None:
    """What is not goes FastAPI's way; but the short way would not be worth having for few."""
    found = {reading.route.path for reading in Readings(ROUTERS)._by_path.values()}
    assert {o.path for o in OPERATIONS if o.method == "get"} - found == {
        "/livez",
        "/problems/{kind}",
        "/v1/persons/{record_id}/similar",
        "/v1/vocabularies/{name}",
    }


def test_a_path_stays_the_route_s_that_comes_first() -> None:
    router = APIRouter(route_class=Route)

    async def first(anything: str, caller: CallerDep) -> Response:
        return Response(anything + caller.audience)

    async def second(record_id: UUID, caller: CallerDep) -> Response:
        return Response(str(record_id) + caller.audience)

    async def third(other_id: UUID, caller: CallerDep, request: Request) -> Response:
        return Response(str(other_id) + caller.audience + request.method)

    router.get("/a/{record_id}")(second)
    router.get("/b/{anything}")(first)
    router.get("/b/{record_id}")(second)
    router.get("/c/{other_id}")(third)
    readings = Readings([router])
    assert list(readings._by_path) == ["/a/{}"]
    found = readings._by_path["/a/{}"]
    assert isinstance(found, Reading)
    assert found.who.call is get_caller
