"""Headers that are wrong, lie, or are garbage: refused as problems by the application and by the real process."""

import socket
from uuid import uuid4

import httpx
import pytest

from tests.conftest import Api, Server
from tests.contract.document import DETAILS, ID, LISTS, Operation, named
from tests.contract.test_lists import problem
from tests.factories import MINIMAL, make

pytestmark = pytest.mark.anyio

GARBAGE = [
    "",
    " ",
    "x",
    '"',
    '""',
    '"x"',
    '"1',
    '1"',
    '"-1"',
    '"99999999999999"',
    "W/",
    'W/"1"',
    '"1", "2"',
    "1",
    "é",
    "*x",
    "\x01",
]


def wrong_keys(key: str) -> list[str]:
    """Return what is sent in place of a good key."""
    cut, last = key[:-1], "0" if key[-1] != "0" else "1"
    _, identity, secret = key.split("_")
    return [
        "", "Bearer", "Bearer ", "Bearer x", "Bearer chr_", "Bearer chr__", f"Bearer {cut}", f"Bearer {cut}{last}",
        f"Basic {key}", f"Token {key}", key, f"Bearer {key} x", f"Bearer {key}{key}", f"Bearer {key.upper()}",
        f"Bearer chr_{identity[::-1]}_{secret}", f"Bearer chr_{identity}_{secret[::-1]}", "Bearer é", "Bearer 🙈",
        "Bearer " + "x" * 5000, "Bearer chr_%00_%00", "Bearer null", f"bearer\t{key}", "Digest " + "=" * 300,
    ]  # fmt: skip


@pytest.mark.parametrize("operation", LISTS, ids=str)
async def test_a_wrong_key_is_refused_everywhere(api: Api, operation: Operation) -> None:
    for wrong in wrong_keys(api.site.keys["editor"]):
        answer = await api.public.get(operation.path, headers=[(b"Authorization", wrong.encode())])
        problem(answer, 401, "unauthorised")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert api.site.keys["editor"] not in answer.text
    good = await api.public.get(operation.path, headers={"Authorization": f"bEaReR {api.site.keys['editor']}"})
    assert good.status_code == 200, "the scheme's letters may be of any case"


@pytest.mark.parametrize("operation", DETAILS, ids=str)
async def test_a_tag_that_is_none_of_ours_changes_nothing(api: Api, operation: Operation) -> None:
    made = await make(api.editor, named(operation))
    url = operation.path.replace(ID, made["id"])
    for wrong in GARBAGE:
        headers = [(b"If-Match", wrong.encode())]
        problem(await api.editor.patch(url, json={"confidence": "probable"}, headers=headers), 412, "changed-meanwhile")
        problem(await api.editor.delete(url, headers=headers), 412, "changed-meanwhile")
        none = await api.editor.get(url, headers=[(b"If-None-Match", wrong.encode())])
        assert (none.status_code, none.json()["version"]) == (200, 1)


@pytest.mark.parametrize(
    "accept", ["", "x", "text/html", "*/*;q=0", "image/*, é", ";;;", "application/json;q=x", "a" * 3000]
)
async def test_an_odd_accept_is_no_failure(api: Api, accept: str) -> None:
    for path in ("/v1/persons", "/v1/vocabularies", "/v1/status"):
        answer = await api.public.get(path, headers=[(b"Accept", accept.encode())])
        assert answer.status_code in {200, 406}, answer.text


def raw(server: Server, text: bytes) -> bytes:
    """Send bytes as they are and return what comes back until the server is done or waits."""
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 80), timeout=3) as connection:
        connection.sendall(text)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except TimeoutError:
            pass
        return answer


def head(server: Server, *more: str) -> str:
    """Return the beginning of a POST by an editor."""
    lines = ["POST /v1/persons HTTP/1.1", "Host: x", f"Authorization: Bearer {server.site.keys['editor']}"]
    return "\r\n".join([*lines, "Content-Type: application/json", *more]) + "\r\n\r\n"


def test_a_length_that_lies_makes_no_record(server: Server) -> None:
    count = httpx.get(f"{server.url}/v1/status", headers=server.site.headers("editor")).json()["records"]["persons"]
    body = '{"summary": "x"}'
    for length in (-1, 10**30, "x", "5, 6", 3):
        answer = raw(server, (head(server, f"Content-Length: {length}", "Connection: close") + body).encode())
        assert answer.split(b" ")[1:2] in ([b"400"], [b"413"], [b"422"]), (length, answer[:200])
    both = head(server, "Content-Length: 16", "Transfer-Encoding: chunked", "Connection: close") + body
    assert raw(server, both.encode()).split(b" ")[1:2] == [b"400"]
    assert raw(server, head(server, "Content-Length: 100").encode() + body.encode()) == b"", "it waits for the rest"
    after = httpx.get(f"{server.url}/v1/status", headers=server.site.headers("editor")).json()["records"]["persons"]
    assert after == count


def test_a_chunked_body_without_end_is_cut_off(server: Server) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    answer = raw(server, head(server, "Transfer-Encoding: chunked", "Connection: close").encode() + chunk * 16)
    assert answer.split(b" ")[1] == b"413", answer[:300]
    assert b"application/problem+json" in answer


def test_huge_headers_are_refused_and_the_service_lives(server: Server) -> None:
    for name in ("X-Odd", "If-None-Match", "Accept", "Idempotency-Key", "Cookie"):
        try:
            answer = httpx.get(f"{server.url}/v1/status", headers={name: "x" * 60_000})
        except httpx.TransportError:
            continue  # cut off is fine
        assert answer.status_code in {200, 400, 431}, name
    assert httpx.get(f"{server.url}/livez").status_code == 200


async def test_the_method_override_of_others_is_not_ours(api: Api) -> None:
    made = await make(api.editor, "persons", **MINIMAL["persons"])
    headers = {"X-HTTP-Method-Override": "DELETE", "If-Match": "*"}
    answer = await api.editor.post(f"/v1/persons/{made['id']}", headers=headers)
    problem(answer, 405, "method-not-allowed")
    assert (await api.public.get(f"/v1/persons/{made['id']}")).status_code == 200
    assert (await api.public.get(f"/v1/persons/{uuid4()}")).status_code == 404
