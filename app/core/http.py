"""HTTP as this service speaks it: strict bodies, one transaction per request, problems, conditional answers."""

import asyncio
import hashlib
import json
import logging
import re
import secrets
from collections.abc import Callable, Coroutine, Iterable
from functools import cache
from typing import Any, ClassVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core import errors
from app.core.database import RETRYABLE, problem_of
from app.core.errors import FieldProblem, Problem
from app.core.replicas import POSITION, write_position

log = logging.getLogger("chronika")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
POINTER_LENGTH = 300
"""Longest pointer answered: it repeats the names of unknown members, which may be as long as the body."""
MAX_BODY = 1_000_000
MAX_DEPTH = 32
BODY_WAIT_S = 30
ANSWER_WAIT_S = 60
"""How long a handler may take, its waiting for the database included; the commit that follows is never cut off."""
TOO_DEEP = f"The body is nested more than {MAX_DEPTH} deep."
TRIES = 3
"""How often a request is run before a deadlock or a serialisation failure is the client's to retry."""

WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
"""A quality value (RFC 9110, section 12.4.2)."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


# --- bodies ----------------------------------------------------------------------------------------


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        msg = "An object names the same member twice."
        raise errors.BadJson(msg)
    return found


def _no_constants(_text: str) -> Any:
    msg = "NaN and Infinity are not JSON."
    raise errors.BadJson(msg)


@cache
def _decoder(fraction: Callable[[str], Any]) -> json.JSONDecoder:
    """Return the strict reader of JSON text; made once, as making one takes longer than reading a small body."""
    return json.JSONDecoder(parse_float=fraction, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)


def _depth(value: Any) -> int:
    """Return how deep lists and objects are nested; level by level, so that no input can exhaust the stack."""
    depth, level = 0, [value]
    while level := [v for v in level if isinstance(v, dict | list)]:
        depth += 1
        level = [inner for v in level for inner in (v.values() if isinstance(v, dict) else v)]
    return depth


def parse_json(body: bytes, fraction: Callable[[str], Any] = float) -> Any:
    """Parse strictly: UTF-8, no duplicate members, no NaN, at most 32 deep (RFC 8259 leaves these to the reader).

    `fraction` reads a number that has a point or an exponent.
    """
    try:
        value = _decoder(fraction).decode(body.decode("utf-8"))
    except RecursionError:
        raise errors.BadJson(TOO_DEEP) from None
    except ValueError:
        msg = "The body must be JSON in UTF-8."
        raise errors.BadJson(msg) from None
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise errors.BadJson(TOO_DEEP)
    return value


async def _read_body(request: Request) -> None:
    """Read the body once, within its bounds, and leave it parsed where FastAPI looks for it."""
    if not request.headers.get("content-length") and not request.headers.get("transfer-encoding"):
        return
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = bytearray()
    async with asyncio.timeout(BODY_WAIT_S):
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                msg = f"A body here has at most {MAX_BODY:,} bytes."
                raise errors.TooLarge(msg)
    request._body = bytes(body)  # noqa: SLF001 -- where Starlette keeps a body that was read
    if not body:
        return
    if kind != "application/json" and not (kind == "application/merge-patch+json" and request.method == "PATCH"):
        msg = "Send application/json (or application/merge-patch+json with PATCH)."
        raise errors.UnsupportedMedia(msg)
    request._json = parse_json(request._body)  # noqa: SLF001


class Route(APIRoute):
    """A route whose handler runs in at most one transaction, committed before any byte of the answer leaves."""

    time_limit: ClassVar[float] = ANSWER_WAIT_S
    kept: ClassVar[bool] = False
    """True where what is read follows from the caller's audience, the URL, the Accept headers, the registry's records
    and the day alone, so that an answer may be given again until the next commit: see `app/core/cache.py`."""

    reads_body: ClassVar[bool] = True
    """False for a handler that reads a long body by itself, piece by piece; it cannot be run twice."""

    def get_route_handler(self) -> Handler:
        """Wrap the handler: body first, then the handler, then the commit."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            if self.reads_body and request.method not in {"GET", "HEAD"}:
                await _read_body(request)
            return await self.run(handler, request)

        return answer

    async def run(self, handler: Handler, request: Request) -> Response:
        """Run a handler within the route's time, and its transaction to its end; a deadlock is tried again."""
        for left in range(TRIES - 1 if self.reads_body else 0, -1, -1):
            try:
                return await _in_transaction(handler, request, self.time_limit)
            except RETRYABLE:
                if not left:
                    raise
        raise AssertionError


class KeptRoute(Route):
    """A route whose readings may be kept until the next commit; what it does besides reading never is."""

    kept: ClassVar[bool] = True


async def _in_transaction(handler: Handler, request: Request, time_limit: float) -> Response:
    done = False
    try:
        async with asyncio.timeout(time_limit):
            response = await handler(request)
        done = response.status_code < 400  # noqa: PLR2004
    finally:
        if (transaction := getattr(request.state, "transaction", None)) is not None:
            request.state.transaction = None
            # A failing commit raises out of here, so the client is told what was stored: nothing.
            await asyncio.shield(transaction.end(commit=done))
    if transaction is not None and transaction.position is not None:
        response.headers[POSITION] = write_position(transaction.position, request.app.state.database.secret)
    return response


# --- conditional answers -----------------------------------------------------------------------------


def etag_of(body: bytes, version: int | None = None) -> str:
    """Return a strong entity tag: the version this caller sees, if any, and a hash of the very bytes."""
    digest = hashlib.sha256(body).hexdigest()[:18]  # which processors have an instruction for
    return f'"{digest}"' if version is None else f'"{version}-{digest}"'


def conditional(request: Request, body: bytes, etag: str, headers: Iterable[tuple[str, str]] = ()) -> Response:
    """Answer with the body, or with 304 where the client has it already (RFC 9110, section 13.1.2)."""
    keyed = "authorization" in request.headers
    sent = {
        "ETag": etag,
        "Cache-Control": "no-store" if keyed else "public, max-age=0, must-revalidate",
        **dict(headers),
    }
    known = request.headers.get("if-none-match")
    if known is not None and has_already(known, etag):
        return Response(status_code=304, headers=sent)
    return Response(body, media_type="application/json", headers=sent)


def has_already(known: str, etag: str) -> bool:
    """Tell whether If-None-Match names the answer with this entity tag (RFC 9110, section 13.1.2)."""
    return known.strip() == "*" or etag in {t.strip().removeprefix("W/") for t in known.split(",")}


def accepted(request: Request, kinds: dict[str, str]) -> str | None:
    """Return the format of the first media type in Accept that is one of `kinds` (media type → format), if any is."""
    named = (part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(","))
    return next((kinds[n] for n in named if n in kinds), None)


MOST_LANGUAGES = 5


def languages(request: Request, asked: str | None) -> list[str] | None:
    """Return the reader's languages by their first subtag, the most wanted first: `lang`, else Accept-Language.

    What cannot be read in the header is passed over (RFC 9110, section 12.5.4); None where nothing is left.
    """
    if asked is not None:
        return [asked.partition("-")[0].lower()]
    found: list[tuple[float, str]] = []
    for part in request.headers.get("accept-language", "")[:500].split(","):
        tag, _, weight = part.strip().partition(";")
        first = tag.strip().partition("-")[0].lower()
        quality = weight.strip().removeprefix("q=").strip() or "1"
        if first.isascii() and first.isalpha() and WEIGHT.fullmatch(quality) and float(quality) > 0:
            found.append((-float(quality), first))
    return list(dict.fromkeys(first for _, first in sorted(found, key=lambda f: f[0])))[:MOST_LANGUAGES] or None


def match_version(request: Request, *, required: bool = True) -> int | None:
    """Return the version that If-Match names; None for `*` (any). Raises 428 without it, 412 if it is none of ours."""
    given = request.headers.get("if-match")
    if given is None:
        if not required:
            return None
        detail = "Send the ETag of the record you read as If-Match, so that nobody's change is overwritten unseen."
        raise errors.MatchRequired(detail)
    tag = given.strip()
    if tag == "*":
        return None
    number = tag.removeprefix('"').removesuffix('"').partition("-")[0]
    if not (tag.startswith('"') and tag.endswith('"') and number.isascii() and number.isdigit() and len(number) < 10):  # noqa: PLR2004
        detail = "If-Match does not name a version of this record; read it again."
        raise errors.ChangedMeanwhile(detail)
    return int(number)


# --- problems -----------------------------------------------------------------------------------------


def request_id(request: Request) -> str:
    """Return the id of this request: ours, or the proxy's."""
    return str(request.scope.get("state", {}).get("request_id", "-"))


def problem_response(request: Request, problem: Problem) -> Response:
    """Answer with a problem; what was asked is never repeated in it."""
    body = json.dumps(problem.body(request_id(request)), ensure_ascii=False).encode()
    headers = {"Cache-Control": "no-store", **problem.headers}
    return Response(body, problem.status, headers, media_type="application/problem+json")


def _pointer(loc: tuple[int | str, ...]) -> str:
    """Turn a pydantic location into a JSON pointer into the body, or `?name` for a query parameter."""
    where, path = (loc[0], loc[1:]) if loc else ("body", ())
    if where == "body":
        return "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in path)
    return f"?{path[0]}" if where == "query" and path else f"{where}:{'/'.join(str(p) for p in path)}"


def field_problems(found: Iterable[Any]) -> list[FieldProblem]:
    """Turn pydantic's errors into ours, without the submitted values and without the names of our own types."""
    listed = [
        FieldProblem(
            pointer=_pointer(tuple(e["loc"]))[:POINTER_LENGTH],
            code=str(e["type"]),
            detail=str(e["msg"]).removeprefix("Value error, "),
        )
        for e in found
    ]
    return listed[:100]


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- what it is registered for
    detail = "See `errors` for each part that is wrong."
    return problem_response(request, errors.Invalid(detail, errors=field_problems(error.errors())))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    kinds = {k.status: k for k in reversed(errors.KINDS)}
    kind = kinds.get(error.status_code, errors.BadRequest)
    headers = {"Allow": ", ".join(_allowed(request))} if kind is errors.MethodNotAllowed else {}
    return problem_response(request, kind(None, headers=headers))


def _allowed(request: Request) -> list[str]:
    """Name the methods that a path takes (RFC 9110, section 15.5.6); the router knows only the first route's."""
    return [
        method
        for method in METHODS
        for asked in ["GET" if method == "HEAD" else method]
        if any(r.matches({**request.scope, "method": asked})[0] is Match.FULL for r in request.app.routes)
    ]


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101
    return problem_response(request, error)


def _known(request: Request, error: Exception) -> Problem:
    problem = problem_of(error)
    if problem is None:
        # The kind and place of the error, never its message: that may hold somebody's name.
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else "?"
        if log.isEnabledFor(logging.DEBUG):  # may name people: for a developer's own machine
            log.debug("request %s", request_id(request), exc_info=error)
        log.error("request %s failed: %s at %s", request_id(request), type(error).__name__, where)
        problem = errors.ServerError("It has been logged; quote the request id when you ask for help.")
    return problem


EVERYWHERE = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"vary", b"Authorization, Accept, Accept-Encoding, Accept-Language"),
)
"""Headers of every answer. Nothing below varies by anything else."""


class Compressed(GZipMiddleware):
    """Pure ASGI: compresses for those who ask for it; for everybody else it is not there."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        asked = scope["type"] == "http" and any(n == b"accept-encoding" and b"gzip" in v for n, v in scope["headers"])
        await (super().__call__ if asked else self.app)(scope, receive, send)


class Problems:
    """Pure ASGI: gives each request an id, and turns whatever was raised below into a problem."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the application."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        identity = given.decode() if 8 <= len(given) <= 64 and given.isalnum() else secrets.token_hex(8)  # noqa: PLR2004
        scope.setdefault("state", {})["request_id"] = identity
        started = False
        # Whatever takes GET takes HEAD, the same but for the body (RFC 9110, section 9.3.2).
        if head := scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                limits = scope["state"].get("rate_limit", {}).items()
                message["headers"] = [
                    *(h for h in message["headers"] if h[0] != b"vary"),
                    (b"x-request-id", identity.encode()),
                    *EVERYWHERE,
                    *((name.lower().encode(), value.encode()) for name, value in limits),
                ]
            elif head:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 -- whatever it is, the client gets a problem and never a trace
            request = Request(scope)
            problem = error if isinstance(error, Problem) else _known(request, error)
            if started:
                # The server cuts the connection off and logs what it is given: no message, and no cause with one.
                raise ConnectionAbortedError from None
            answer = problem_response(request, problem)
            await answer(scope, receive, sending)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of this application as a problem."""
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Problem, _on_problem)
