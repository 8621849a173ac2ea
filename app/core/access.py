"""Who is asking: from the key in a request to the audience whose pool answers it."""

import hashlib
import hmac
import secrets
import zlib
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from app.core.database import Database, Transaction
from app.core.errors import Forbidden, Unauthorised
from app.core.lookups import Lookups, Moment
from app.core.records import Audience
from app.core.replicas import POSITION, reading

ROLES = (Audience.PARTNER, Audience.EDITOR, Audience.GUARDIAN)
"""Roles a key can have."""

ID_LENGTH, SECRET_BYTES = 10, 24


class Key(NamedTuple):
    """A key that was accepted: its id, the name its holder goes by, the origin that it writes for, and its SHA-256."""

    id: str
    name: str
    origin: str
    proof: bytes


@dataclass(frozen=True)
class Caller:
    """Who is asking, with the request and the database that answers it."""

    request: Request
    database: Database
    audience: Audience
    key: Key | None = None


def new_key() -> tuple[str, str, bytes]:
    """Make a key: its id, the text to hand over (`chr_<id>_<secret><checksum>`), and the SHA-256 to keep."""
    key_id = secrets.token_hex(ID_LENGTH // 2)
    secret = secrets.token_hex(SECRET_BYTES)
    text = f"chr_{key_id}_{secret}"
    full = f"{text}{zlib.crc32(text.encode()):08x}"
    return key_id, full, hashlib.sha256(full.encode()).digest()


def _readable(text: str) -> str | None:
    """Return the id in a key's text, or None if it was cut or mistyped; this needs no database."""
    parts = text.split("_")
    if len(parts) != 3 or parts[0] != "chr" or not text.isascii() or len(text) > 200:  # noqa: PLR2004
        return None
    body, checksum = text[:-8], text[-8:]
    return parts[1] if f"{zlib.crc32(body.encode()):08x}" == checksum else None


INVALID = "The key is not valid: unknown, expired or revoked. Send it as `Authorization: Bearer chr_…`."


class Admitted(NamedTuple):
    """What a request's key, or its lack of one, stands for, and where it reads; `moment` is when, if that was asked."""

    audience: Audience
    database: Database
    key: Key | None = None
    moment: Moment | None = None


async def admit(request: Request, *, moment: bool = False) -> Admitted:
    """Look up whose key a request has; raises `Unauthorised` for one that is not, or no longer, valid.

    The key is looked up for every request, so that a revocation holds from the next one in every worker, and counted;
    raises `TooManyRequests`. Without a key nothing is looked up unless `moment` asks for it.
    """
    lookups: Lookups = request.app.state.lookups
    database: Database = request.app.state.database
    # What only reads may be asked of a standby; the key itself never is, for a revocation holds at once.
    asked = reading(database, request.headers.get(POSITION)) if request.method in {"GET", "HEAD"} else database
    header = request.headers.get("authorization")
    if header is None:
        return Admitted(Audience.PUBLIC, asked, moment=await lookups.moment(asked) if moment else None)
    scheme, _, text = header.partition(" ")
    text = text.strip()
    key_id = _readable(text) if scheme.lower() == "bearer" else None
    if key_id is None:
        raise Unauthorised(INVALID)
    found = await lookups.look(key_id)
    given = hashlib.sha256(text.encode()).digest()
    if not hmac.compare_digest(found["digest"] or bytes(32), given) or not found["valid"]:
        raise Unauthorised(INVALID)
    request.state.rate_limit = await request.app.state.limits.take(key_id, database)
    at = Moment(None, found["moment"])
    if moment and asked is not database:
        at = await lookups.moment(asked)
    return Admitted(Audience(found["role"]), asked, Key(key_id, found["name"], found["origin"], given), at)


async def get_caller(request: Request) -> Caller:
    """Return who is asking, as `admit` finds; once for each request."""
    admitted = getattr(request.state, "admitted", None) or await admit(request)
    return Caller(request, admitted.database, admitted.audience, admitted.key)


CallerDep = Annotated[Caller, Depends(get_caller)]
"""The caller of a reading route."""


async def get_editor(caller: CallerDep) -> Caller:
    """Return a caller who may write and sees all levels: an editor or a guardian."""
    if caller.key is None:
        detail = "This needs an editor's key: `Authorization: Bearer chr_…`."
        raise Unauthorised(detail)
    if not caller.audience.sees_everything:
        detail = "This needs an editor's key."
        raise Forbidden(detail)
    return caller


EditorDep = Annotated[Caller, Depends(get_editor)]


async def get_guardian(caller: CallerDep) -> Caller:
    """Return a caller who may see what is protected: a guardian."""
    if caller.key is None:
        detail = "This needs a guardian's key: `Authorization: Bearer chr_…`."
        raise Unauthorised(detail)
    if caller.audience is not Audience.GUARDIAN:
        detail = "This needs a guardian's key."
        raise Forbidden(detail)
    return caller


GuardianDep = Annotated[Caller, Depends(get_guardian)]


@dataclass(frozen=True)
class Writer:
    """A caller who may write, with the transaction that the request is."""

    caller: Caller
    transaction: Transaction


async def _writer(caller: Caller) -> Writer:
    transaction = await caller.database.transaction(caller.audience)
    transaction.actor = caller.key.name if caller.key else None
    caller.request.state.transaction = transaction  # the route ends it: see core/http.py
    return Writer(caller, transaction)


async def get_writer(caller: EditorDep) -> Writer:
    """Return the caller's transaction; it begins at its first statement and is committed by the route."""
    return await _writer(caller)


async def get_sender(caller: CallerDep) -> Writer:
    """Return the transaction of a caller who may send records in bulk: an editor any, a partner its own."""
    if caller.audience is not Audience.PARTNER:
        return await _writer(await get_editor(caller))
    writer = await _writer(caller)
    writer.transaction.read_write = True
    return writer


async def get_guardian_writer(caller: GuardianDep) -> Writer:
    """Return a guardian's transaction."""
    return await _writer(caller)


WriterDep = Annotated[Writer, Depends(get_writer)]
SenderDep = Annotated[Writer, Depends(get_sender)]
GuardianWriterDep = Annotated[Writer, Depends(get_guardian_writer)]
