"""What another registry sends and nothing here stands against: looked up and stored by the set.

Most of what is pulled is new here, or follows a record that nobody here has touched. Whatever needs a look of its own
is handed back: what was edited, deleted or made here, what names something that is not here, what is refused.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import ValidationError

from app.changes.fields import hashes
from app.changes.models import RESOURCES
from app.core.batches import Item, Known, store
from app.core.database import Transaction
from app.core.records import RecordIn, Resource
from app.core.refs import Ref
from app.core.rows import find_refs

Sent = dict[str, Any]
"""A record as the feed or the snapshot of the other registry has it."""


@dataclass
class Counts:
    """What a pull did, in records."""

    created: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0
    refused: int = 0
    """Not stored: the registry here does not accept them, or they name something that cannot be had."""

    def add(self, counts: Mapping[str, int]) -> None:
        """Add what was counted elsewhere."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)

    def __str__(self) -> str:
        """Write it as a line."""
        return ", ".join(f"{getattr(self, f.name)} {f.name}" for f in fields(self))


class Taken(NamedTuple):
    """How many records were created, updated or left unchanged, and those that need a look of their own."""

    counts: Counter[str]
    rest: list[Sent]


def read(resource: Resource, data: dict[str, Any]) -> RecordIn:
    """Read a record as it is answered as one that is given; raises `ValidationError`."""
    assert resource.create is not None  # noqa: S101 -- every resource of the feed can be written
    return resource.create.model_validate({k: v for k, v in data.items() if v is not None})


async def take(
    transaction: Transaction, peer: str, origin: str, items: Iterable[Sent], *, compare: bool = False
) -> Taken:
    """Store what is new or follows an untouched record. `origin` is the registry's here, whose own records never come.

    With `compare` a version that is no newer may still bring another content.
    """
    counts: Counter[str] = Counter()
    sent = {UUID(i["id"]): i for i in items}
    known = await _pulled(transaction, peer, sent)
    left = {
        remote
        for remote, item in sent.items()
        if item["origin"] != origin and remote in known and known[remote]["version"] >= item["version"] and not compare
    }
    counts["unchanged"] += len(left)
    arriving = _read({r: i for r, i in sent.items() if r not in left and i["origin"] != origin}, known)
    await _keep_apart(transaction, arriving, known)
    refs = await _named(transaction, peer, arriving)
    units = [[item] for item in arriving.values()]
    problems = await store(transaction, units, by_key=True, forward=True, known=refs)
    stored = {}
    for (remote, item), problem in zip(arriving.items(), problems, strict=True):
        # What was found here though it was never pulled is somebody's own, or came another way.
        if problem is None and not item.leave and item.result is not None:
            stored[remote] = item
            counts[item.result] += 1
    await _note(transaction, peer, {remote: (sent[remote]["version"], item) for remote, item in stored.items()})
    return Taken(counts, [item for remote, item in sent.items() if remote not in stored and remote not in left])


async def _pulled(transaction: Transaction, peer: str, remote: Iterable[UUID]) -> dict[UUID, Any]:
    """Return what is known of records of the other registry by their ids there."""
    sql = (
        "SELECT remote_id, local_id, version, local_version, edited FROM pulled "
        "WHERE peer = $1 AND remote_id = ANY($2::uuid[])"
    )
    return {r["remote_id"]: r for r in await transaction.fetch(sql, peer, list(remote))}


def _read(sent: dict[UUID, Sent], known: dict[UUID, Any]) -> dict[UUID, Item]:
    """Read records; without those that cannot be read, or that share an identity with another."""
    found: dict[UUID, Item] = {}
    identities: Counter[tuple[str, str, str]] = Counter()
    for remote, item in sent.items():
        resource = RESOURCES[item["type"]]
        try:
            given = read(resource, item["data"])
        except ValidationError:
            continue
        local = known[remote]["local_id"] if remote in known else remote
        found[remote] = Item(resource, given, id=local, once=remote not in known)
        identities[found[remote].identity] += 1
    return {remote: item for remote, item in found.items() if identities[item.identity] == 1}


async def _keep_apart(transaction: Transaction, arriving: dict[UUID, Item], known: dict[UUID, Any]) -> None:
    """Take out what was touched here since it was pulled, and what is new while its id is taken."""
    here: dict[UUID, Any] = {}
    for name in sorted({item.resource.name for item in arriving.values()}):
        sql = f"SELECT id, version, origin, origin_id FROM {name} WHERE id = ANY($1::uuid[])"  # noqa: S608 -- our own names
        ids = [item.id for item in arriving.values() if item.resource.name == name]
        here |= {r["id"]: r for r in await transaction.fetch(sql, ids)}
    for remote, item in list(arriving.items()):
        assert item.id is not None  # noqa: S101 -- given above
        before, now = known.get(remote), here.get(item.id)
        if before is None:
            touched = now is not None
        else:
            touched = (
                now is None
                or bool(before["edited"])
                or before["local_version"] not in {None, now["version"]}
                or (now["origin"], now["origin_id"]) != item.identity[1:]
            )
        if touched:
            del arriving[remote]
        elif now is not None:
            item.base = now["version"]


async def _named(transaction: Transaction, peer: str, arriving: dict[UUID, Item]) -> Known:
    """Return what records name of those that were pulled before; take out what names one that is not here any more.

    Whoever was merged here is now the one who stayed.
    """
    named = {remote: [(table, ref) for _, table, ref in item.named] for remote, item in arriving.items()}
    there = await _pulled(transaction, peer, {ref.id for some in named.values() for _, ref in some if ref.id})
    local = {
        (table, ref): (table, Ref(id=there[ref.id]["local_id"]))
        for some in named.values()
        for table, ref in some
        if ref.id in there
    }
    standing = await find_refs(transaction, set(local.values()))
    for remote, some in named.items():
        if any(name in local and local[name] not in standing for name in some):
            del arriving[remote]
    return {name: standing[here] for name, here in local.items() if here in standing}


async def _note(transaction: Transaction, peer: str, stored: dict[UUID, tuple[int, Item]]) -> None:
    """Remember which records of theirs are which of ours, at which versions, and what came."""
    sql = (
        "INSERT INTO pulled (peer, remote_id, record_type, local_id, version, local_version, fields, edited) "
        "SELECT $1, r.remote, r.type, r.local, r.theirs, r.ours, r.fields::jsonb, '{}' "
        "FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::integer[], $6::integer[], $7::text[]) "
        "AS r(remote, type, local, theirs, ours, fields) "
        "ON CONFLICT (peer, remote_id) DO UPDATE SET local_id = excluded.local_id, version = excluded.version, "
        "local_version = excluded.local_version, fields = excluded.fields, edited = excluded.edited"
    )
    rows = [
        (remote, item.resource.type, item.id, theirs, item.version, json.dumps(hashes(item.given)))
        for remote, (theirs, item) in stored.items()
    ]
    if rows:
        await transaction.fetch(sql, peer, *(list(column) for column in zip(*rows, strict=True)))


__all__ = ["Counts", "Sent", "Taken", "read", "take"]
