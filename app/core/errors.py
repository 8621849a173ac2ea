"""Every error the service answers, as RFC 9457 problem details.

Problem
├── Moved                 308  merged into another record, at Location
├── BadRequest            400  the request cannot be read
│   ├── BadJson                not JSON, duplicate keys, NaN, too deep
│   ├── BadCursor              a cursor that this list did not give
│   └── CursorRequired         the feed goes on from a cursor, which the snapshot gives
├── Unauthorised          401  no key, or one that is not valid
├── Forbidden             403  the key's role may not do this
├── NotFound              404  absent, or hidden from this caller: the two are one
├── MethodNotAllowed      405
├── Conflict              409  it exists already, or something still refers to it
├── Gone                  410  deleted; the caller could see it before
│   ├── FeedDiverged           the server does not have what the cursor has seen: it was restored, or is another
│   ├── ScopeChanged           the cursor was for another role, other types or another excluded origin
│   └── CursorExpired          the cursor is older than what the feed still holds
├── ChangedMeanwhile      412  If-Match names another version
├── TooLarge              413
├── UnsupportedMedia      415
├── Invalid               422  one entry in `errors` for each wrong part
├── MatchRequired         428  PATCH, PUT or DELETE without If-Match
├── TooManyRequests       429  the key's requests of this minute are used up; with Retry-After
├── ServerError           500
└── Unavailable           503  the database is away or too busy; with Retry-After
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field


class FieldProblem(BaseModel):
    """One wrong part of a request; the submitted value is never repeated."""

    pointer: str = Field(description="JSON pointer into the body (RFC 6901), or `?name` for a query parameter.")
    code: str = Field(description="Machine-readable kind of error.")
    detail: str = Field(description="What is wrong with it.")


class ProblemDetails(BaseModel):
    """RFC 9457 problem details, the body of every error."""

    type: str = Field(description="Path of the page that explains this kind of problem.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="HTTP status code.")
    detail: str | None = Field(default=None, description="What went wrong this time, and what to do.")
    request_id: str = Field(description="Quote this when you ask for help.")
    errors: list[FieldProblem] = Field(
        default_factory=list, description="One entry for each wrong part of the request."
    )


class Problem(Exception):  # noqa: N818 -- RFC 9457's own word
    """An error with a status, raised anywhere below a route and answered by one handler."""

    status = 500
    slug = "server-error"
    title = "The service failed"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: list[FieldProblem] | None = None,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        """Keep what went wrong; `extra` becomes further members of the problem (RFC 9457, section 3.2)."""
        super().__init__(detail)
        self.detail = detail
        self.errors = errors or []
        self.headers = dict(headers or {})
        self.extra = extra

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the problem as the members of its JSON object."""
        return {
            "type": f"/problems/{self.slug}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            "errors": [e.model_dump() for e in self.errors],
            **self.extra,
        }


class Moved(Problem):
    """The record was merged into another; repeat the request at Location."""

    status, slug, title = 308, "moved", "The record was merged into another"


class BadRequest(Problem):
    """The request cannot be read."""

    status, slug, title = 400, "bad-request", "The request cannot be read"


class BadJson(BadRequest):
    """The body is not JSON as this service takes it."""

    slug, title = "bad-json", "The body is not valid JSON"


class BadCursor(BadRequest):
    """The cursor was not given by this list with these filters and this order."""

    slug, title = "invalid-cursor", "The cursor does not belong to this list"


class CursorRequired(BadRequest):
    """The feed goes on from a cursor; the first one comes with the snapshot."""

    slug, title = "cursor-required", "The feed goes on from a cursor"


class Unauthorised(Problem):
    """No key was sent, or one that is not valid."""

    status, slug, title = 401, "unauthorised", "A valid key is needed"

    def __init__(self, detail: str | None = None) -> None:
        """Add the challenge that RFC 9110 asks for."""
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="chronika"'})


class Forbidden(Problem):
    """The key is valid and its role may not do this."""

    status, slug, title = 403, "forbidden", "This key may not do that"


class NotFound(Problem):
    """There is no such thing, as far as this caller can know."""

    status, slug, title = 404, "not-found", "Not found"


class MethodNotAllowed(Problem):
    """The path exists and does not take this method."""

    status, slug, title = 405, "method-not-allowed", "This path does not take that method"


class Conflict(Problem):
    """It exists already, or something still refers to it."""

    status, slug, title = 409, "conflict", "It conflicts with what is recorded"


class Gone(Problem):
    """It was deleted, and the caller could see it before."""

    status, slug, title = 410, "gone", "The record was deleted"


class FeedDiverged(Gone):
    """The server does not have what the cursor has seen: it was restored from a backup, or it is another server."""

    slug, title = "feed-diverged", "The feed is no longer the one that the cursor was in"


class ScopeChanged(Gone):
    """The cursor was given for another role of the key, other types or another excluded origin."""

    slug, title = "scope-changed", "The cursor was for another selection"


class CursorExpired(Gone):
    """The cursor is older than the oldest change that the feed still holds."""

    slug, title = "cursor-expired", "The cursor is too old"


class ChangedMeanwhile(Problem):
    """If-Match names another version than the current one."""

    status, slug, title = 412, "changed-meanwhile", "The record has changed meanwhile"


class TooLarge(Problem):
    """The body is larger than this path takes."""

    status, slug, title = 413, "too-large", "The body is too large"


class UnsupportedMedia(Problem):
    """The body is of a media type that this path does not take."""

    status, slug, title = 415, "unsupported-media-type", "This path does not take that media type"


class Invalid(Problem):
    """The request can be read and is wrong; `errors` says where."""

    status, slug, title = 422, "invalid", "The request is not valid"


class MatchRequired(Problem):
    """A change without If-Match could overwrite somebody else's."""

    status, slug, title = 428, "match-required", "If-Match is required"


class TooManyRequests(Problem):
    """The key has used up its requests of this minute."""

    status, slug, title = 429, "too-many-requests", "Too many requests with this key"


class ServerError(Problem):
    """Our fault; the log has it under the request's id."""


class Unavailable(Problem):
    """The database is away or too busy for now."""

    status, slug, title = 503, "unavailable", "The service is not available right now"

    def __init__(self, detail: str | None = None) -> None:
        """Tell the client when to come back."""
        super().__init__(detail, headers={"Retry-After": "2"})


def invalid(pointer: str, code: str, detail: str) -> Invalid:
    """Return an `Invalid` with one wrong part."""
    return Invalid(detail, errors=[FieldProblem(pointer=pointer, code=code, detail=detail)])


KINDS: tuple[type[Problem], ...] = (
    Moved,
    BadRequest,
    BadJson,
    BadCursor,
    CursorRequired,
    Unauthorised,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Conflict,
    Gone,
    FeedDiverged,
    ScopeChanged,
    CursorExpired,
    ChangedMeanwhile,
    TooLarge,
    UnsupportedMedia,
    Invalid,
    MatchRequired,
    TooManyRequests,
    ServerError,
    Unavailable,
)
"""All kinds, for the page that explains them and for the OpenAPI document."""
