"""The feed's cursor: a sealed place in one feed, for one level and one selection, that notices a restored server."""

import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from app.changes.models import TYPES, Selection
from app.core.errors import BadCursor

NOWHERE = UUID(int=0)
"""Stands for the row of a place before the first change."""

_FORM = struct.Struct(">B16sBH8sQ16sQ16s")
_KIND, _SEAL = 1, 12


@dataclass(frozen=True)
class Place:
    """A place in a feed: the number reached, and the random uid of the row there, which a restored server has not.

    Records are shown as they are now, so a caller may know more than the place says: up to the horizon. A server that
    was restored to a moment in between has the row at the place, but not the one at the horizon.
    """

    feed: UUID
    level: int
    types: int
    excluded: bytes
    seq: int
    uid: UUID
    horizon: int
    horizon_uid: UUID


def types_of(selection: Selection) -> int:
    """Return the selected types as a set of bits, in the order of TYPES."""
    return sum(1 << TYPES.index(name) for name in set(selection.names()))


def excluded_by(selection: Selection) -> bytes:
    """Return a hash of the excluded origin; zeros for none."""
    if selection.exclude_origin is None:
        return bytes(8)
    return hashlib.blake2b(selection.exclude_origin.encode(), digest_size=8).digest()


def selection_of(place: Place, origin: str) -> Selection:
    """Return the selection that a place was given for; its excluded origin is known only if it is `origin`."""
    types: list[Any] = [name for n, name in enumerate(TYPES) if place.types >> n & 1]
    found = Selection.model_construct(types=[] if len(types) == len(TYPES) else types, exclude_origin=origin)
    return found if excluded_by(found) == place.excluded else found.model_copy(update={"exclude_origin": None})


def snapshot_url(selection: Selection) -> str:
    """Return where a mirror of this selection begins again."""
    named: list[tuple[str, str]] = [("types", name) for name in selection.types]
    if selection.exclude_origin is not None:
        named.append(("exclude_origin", selection.exclude_origin))
    return "/v1/snapshot" + ("?" + urlencode(named) if named else "")


def _seal(payload: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"feed cursor:" + payload, "sha256")[:_SEAL]


def write(place: Place, secret: bytes) -> str:
    """Write a place as a cursor."""
    payload = _FORM.pack(
        _KIND,
        place.feed.bytes,
        place.level,
        place.types,
        place.excluded,
        place.seq,
        place.uid.bytes,
        place.horizon,
        place.horizon_uid.bytes,
    )
    return base64.urlsafe_b64encode(_seal(payload, secret) + payload).decode().rstrip("=")


def read(cursor: str, secret: bytes) -> Place:
    """Read a cursor; raises `BadCursor` for any text that this feed did not write."""
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != cursor:
        raw = b""  # one place has one cursor: bits that the last character has to spare are none of it
    seal, payload = raw[:_SEAL], raw[_SEAL:]
    if len(payload) != _FORM.size or not hmac.compare_digest(seal, _seal(payload, secret)) or payload[0] != _KIND:
        detail = "Take `cursor` from a page of the feed or from the snapshot, as it is."
        raise BadCursor(detail)
    _, feed, level, types, excluded, seq, uid, horizon, horizon_uid = _FORM.unpack(payload)
    return Place(UUID(bytes=feed), level, types, excluded, seq, UUID(bytes=uid), horizon, UUID(bytes=horizon_uid))
