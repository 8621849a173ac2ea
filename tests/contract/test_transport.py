"""What goes around every answer: identity of the request, caching, compression, and what a browser may read."""

import re

import httpx
import pytest

from tests.conftest import Api, Server
from tests.contract.document import DOCUMENT, ID, LISTS, Operation
from tests.contract.test_lists import problem

pytestmark = pytest.mark.anyio

PLAIN = [p for p, m in DOCUMENT["paths"].items() if "get" in m and "{" not in p]
ORIGIN = {"Origin": "https://frontend.example"}


@pytest.mark.parametrize("path", [*PLAIN, "/v1/nothing", "/openapi.json"])
async def test_every_answer_says_what_it_varies_by_and_who_it_is(api: Api, path: str) -> None:
    answer = await api.public.get(path)
    assert {"authorization", "accept", "accept-encoding"} <= {
        v.strip().lower() for v in answer.headers["vary"].split(",")
    }
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("operation", LISTS, ids=str)
async def test_what_a_key_shows_is_not_kept_by_anybody(api: Api, operation: Operation) -> None:
    assert (await api.public.get(operation.path)).headers["cache-control"] == "public, max-age=0, must-revalidate"
    assert (await api.partner.get(operation.path)).headers["cache-control"] == "no-store"
    assert (await api.public.get(f"{operation.path}?limit=0")).headers["cache-control"] == "no-store"


async def test_a_request_keeps_the_id_of_its_proxy_where_it_is_a_plain_one(api: Api) -> None:
    given = await api.public.get("/v1/status", headers={"X-Request-Id": "abcdefgh12345678"})
    assert given.headers["x-request-id"] == "abcdefgh12345678"
    for wrong in ("short", "x" * 65, "with space 1234", 'quote"quote"', "%0d%0aSet-Cookie"):
        answer = await api.public.get("/v1/nothing", headers={"X-Request-Id": wrong})
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
        assert wrong not in answer.text


@pytest.mark.parametrize("path", DOCUMENT["paths"])
async def test_a_browser_may_ask_and_read(api: Api, path: str) -> None:
    url = path.replace(ID, "00000000-0000-4000-8000-000000000000").replace("{name}", "sex").replace("{kind}", "invalid")
    for method in DOCUMENT["paths"][path]:
        asked = {
            **ORIGIN,
            "Access-Control-Request-Method": method.upper(),
            "Access-Control-Request-Headers": "authorization, content-type, if-match, if-none-match, idempotency-key",
        }
        preflight = await api.public.options(url, headers=asked)
        assert preflight.status_code == 200, preflight.text
        assert preflight.headers["access-control-allow-origin"] in {"*", ORIGIN["Origin"]}
        assert method.upper() in preflight.headers["access-control-allow-methods"]
    for answer in (await api.public.get(url, headers=ORIGIN), await api.public.get(url + "/", headers=ORIGIN)):
        assert answer.headers["access-control-allow-origin"] in {"*", ORIGIN["Origin"]}, answer.status_code
        exposed = {v.strip().lower() for v in answer.headers["access-control-expose-headers"].split(",")}
        assert {"etag", "link", "location", "retry-after", "x-request-id"} <= exposed
        assert "access-control-allow-credentials" not in answer.headers, "no cookies here"


async def test_a_large_answer_is_compressed_and_a_small_one_is_not(api: Api) -> None:
    for encoding, used in (("gzip", "gzip"), ("identity", None)):
        answer = await api.public.get("/v1/vocabularies", headers={"Accept-Encoding": encoding})
        assert answer.headers.get("content-encoding") == used, encoding
        assert len(answer.json()["items"]) > 20
    small = await api.public.get("/livez", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in small.headers


async def test_a_compressed_answer_is_not_sent_twice(api: Api) -> None:
    first = await api.public.get("/v1/vocabularies", headers={"Accept-Encoding": "gzip"})
    again = await api.public.get("/v1/vocabularies", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_process_does_not_say_what_it_runs_on(server: Server) -> None:
    answer = httpx.get(f"{server.url}/v1/status")
    assert "server" not in answer.headers
    head = httpx.head(f"{server.url}/v1/status")
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", answer.headers["etag"])
    problem(httpx.post(f"{server.url}/v1/status"), 405, "method-not-allowed")
