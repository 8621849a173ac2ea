"""Pulling from another registry: its records are stored here with the cursor that they came with, in one transaction.

A record is owned by its origin: what is ours is never taken from elsewhere, and of theirs only what is newer than what
we have from there. So an echo between two registries stops after one hop. What was edited here is not overwritten: see
`bring` in app/changes/merging.py.
"""

import contextlib
import json
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from pydantic import ValidationError

from app.changes.digest import read_buckets
from app.changes.fields import hashes, names_of
from app.changes.merging import Base, Sender, bring
from app.changes.models import ORDER, RESOURCES, TYPES
from app.changes.proposals import edited_since
from app.core import crud
from app.core.database import Database, Transaction, problem_of
from app.core.errors import Conflict, Gone, Invalid
from app.core.records import LEVELS, Audience, RecordIn, Resource
from app.core.refs import TARGETS, Ref
from app.core.rows import insert, references, rows_of, standing, tables_of
from app.exchange.arrivals import Counts, read, take
from app.exchange.merged import RefusedError, follow, give_back, let_go, refusable, take_apart
from app.exchange.peer import Peer, PullError, StartAgain

BATCH = 500
"""Records of a snapshot that are stored in one transaction."""

PAGE = 500
"""Changes asked for at a time."""

NAMES = {r.name: r.type for r in ORDER}


class Pull:
    """One registry that is pulled from, on behalf of one that is here."""

    def __init__(self, database: Database, origin: str, peer: Peer, name: str, types: list[str]) -> None:
        """Take the database and origin of the registry here, and the other one with the name it is remembered by."""
        self._database, self._origin, self._peer, self._name = database, origin, peer, name
        self._types = types
        self._selection: dict[str, Any] = {"exclude_origin": origin, **({"types": types} if types else {})}
        self._scope = ",".join(sorted(types))
        self.counts = Counts()

    async def run(self, progress: Callable[[int, int | None], None] = lambda _done, _total: None) -> None:
        """Bring everything here that is new there: the snapshot the first time, then what changed."""
        found = await self._database.row(
            Audience.EDITOR, "SELECT cursor FROM pulls WHERE peer = $1 AND types = $2", self._name, self._scope
        )
        fresh = not found
        cursor = found["cursor"] if found else await self._snapshot(progress)
        while True:
            try:
                page = await self._peer.changes({**self._selection, "cursor": cursor, "limit": PAGE})
            except StartAgain:
                if fresh:
                    raise PullError("the registry does not know the cursor of its own snapshot") from None
                cursor, fresh = await self._snapshot(progress), True
                continue
            fresh = False
            await self._store(page["items"], page["cursor"])
            await self._peer.confirm(page["cursor"])
            progress(len(page["items"]), None)
            cursor = page["cursor"]
            if not page["has_more"]:
                return

    # --- storing ------------------------------------------------------------------------------------

    async def _snapshot(self, progress: Callable[[int, int | None], None]) -> str:
        """Store the snapshot batch by batch; what it does not hold any more goes with the cursor, at the end."""
        seen: set[UUID] = set()
        with contextlib.closing(await self._peer.snapshot(self._selection)) as snapshot:
            items = snapshot.items()
            while batch := list(islice(items, BATCH)):
                seen |= {UUID(item["id"]) for item in batch}
                await self._store(batch, None, compare=True)
                progress(len(batch), snapshot.count)
        known = await self._database.fetch(
            Audience.EDITOR,
            "SELECT remote_id, record_type FROM pulled WHERE peer = $1 AND record_type = ANY($2)",
            self._name,
            self._types or list(TYPES),
        )
        lost = [
            {"op": "remove", "type": r["record_type"], "id": str(r["remote_id"]), "reason": "withdrawn"}
            for r in known
            if r["remote_id"] not in seen
        ]
        await self._store(lost, snapshot.cursor)
        return snapshot.cursor

    async def _store(self, items: list[dict[str, Any]], cursor: str | None, *, compare: bool = False) -> None:
        """Store items, and the cursor that they came with, in one transaction: both or neither.

        With `compare` versions are not trusted: a registry that was restored from a backup counts from there again.
        """
        transaction = await self._database.transaction(Audience.EDITOR)
        transaction.actor = f"pull {self._name}"[:200]
        before, done = Counts(**vars(self.counts)), False
        try:
            # Records that one of these names may have to be asked for meanwhile.
            await transaction.fetch("SELECT set_config('idle_in_transaction_session_timeout', '10min', true)")
            upserts = [item for item in items if item["op"] == "upsert"]
            # First, so that what comes with it finds each person by themselves.
            for item in items:
                if item["op"] != "upsert" and item["type"] == "person":
                    await self._separate(transaction, UUID(item["id"]))
            followed = await self._follow_all(transaction, items)
            taken = await take(transaction, self._name, self._origin, upserts, compare=compare)
            self.counts.add(taken.counts)
            for item in taken.rest:
                if not await self._upsert(transaction, item, frozenset(), compare=compare):
                    self.counts.refused += 1
            # What names others goes first.
            for item in sorted(items, key=lambda i: -TYPES.index(i["type"])):
                if item["op"] != "upsert" and item["id"] not in followed:
                    await self._remove(transaction, item)
            if cursor is not None:
                sql = (
                    "INSERT INTO pulls (peer, types, cursor) VALUES ($1, $2, $3) "
                    "ON CONFLICT (peer, types) DO UPDATE SET cursor = excluded.cursor, at = now()"
                )
                await transaction.fetch(sql, self._name, self._scope, cursor)
            done = True
        finally:
            if not done:
                self.counts = before
            await transaction.end(commit=done)

    async def _upsert(  # noqa: PLR0911 -- each way in which nothing is to be done
        self, transaction: Transaction, item: dict[str, Any], above: frozenset[str], *, compare: bool = False
    ) -> UUID | None:
        """Make or change one record; return its id here, or None if it is refused. `above` are those that name it."""
        resource, remote = RESOURCES[item["type"]], UUID(item["id"])
        known = await transaction.row(
            "SELECT local_id, version, local_version, fields, edited FROM pulled WHERE peer = $1 AND remote_id = $2",
            self._name,
            remote,
        )
        local: UUID | None = known["local_id"] if known else None
        base = await self._base(transaction, resource, known) if known else None
        if known is None:
            local, ours = await self._here(transaction, resource, item["data"])
            base = await self._unknown(transaction, resource, local) if local else None
            if ours or item["origin"] == self._origin:
                if local is not None:
                    await self._note(transaction, item, local)
                    self.counts.unchanged += 1
                return local
        elif item["origin"] == self._origin or (known["version"] >= item["version"] and not compare):
            self.counts.unchanged += 1
            return local
        elif base is None:  # deleted here, for good
            await self._note(transaction, item, known["local_id"])
            return None
        try:
            return await self._bring(transaction, item, local, above, base)
        except _Missing:
            if local is not None or not item["data"].get("citations"):
                return None
        # A source and who published it may name each other: first without citations, then whole, now or at its turn.
        bare = {**item, "version": 0, "data": {**item["data"], "citations": []}}
        try:
            local = await self._bring(transaction, bare, local, above, None)
            return await self._bring(transaction, item, local, above, None)
        except _Missing:
            return local

    async def _bring(
        self,
        transaction: Transaction,
        item: dict[str, Any],
        local: UUID | None,
        above: frozenset[str],
        base: Base | None,
    ) -> UUID:
        """Write one record after what it names; raises `_Missing` if it, or something that it names, cannot be had."""
        resource = RESOURCES[item["type"]]
        try:
            given = read(resource, item["data"])
            refs = {}
            for _, table, ref in references(given):
                refs[table, ref] = await self._reference(transaction, table, ref, above | {item["id"]})
            async with transaction.savepoint():
                edited: frozenset[str] = frozenset()
                if local is None or base is None:
                    local = await self._write(transaction, resource, given, local, UUID(item["id"]), refs)
                else:
                    local, edited = await self._merge(transaction, resource, given, local, refs, base)
        except ValidationError:
            raise _Missing from None
        except asyncpg.PostgresError as error:
            if not isinstance(problem_of(error), (Conflict, Gone, Invalid)):
                raise
            raise _Missing from None
        await self._note(transaction, item, local, given, edited)
        return local

    async def _note(
        self,
        transaction: Transaction,
        item: dict[str, Any],
        local: UUID,
        given: RecordIn | None = None,
        edited: Iterable[str] = (),
    ) -> None:
        """Remember which record of theirs is which of ours, at which versions, and in which fields ours is another."""
        sql = (
            "INSERT INTO pulled (peer, remote_id, record_type, local_id, version, local_version, fields, edited) "  # noqa: S608 -- our own names
            f"VALUES ($1, $2, $3, $4, $5, (SELECT version FROM {RESOURCES[item['type']].name} WHERE id = $4), $6, $7) "
            "ON CONFLICT (peer, remote_id) DO UPDATE SET local_id = excluded.local_id, version = excluded.version, "
            "local_version = excluded.local_version, fields = excluded.fields, edited = excluded.edited"
        )
        fields = json.dumps(hashes(given)) if given else None
        arguments = (item["type"], local, item["version"], fields, sorted(edited))
        await transaction.fetch(sql, self._name, UUID(item["id"]), *arguments)

    async def _base(self, transaction: Transaction, resource: Resource, known: Any) -> Base | None:
        """Return what the record was when it last came, empty where it is still that; None where it is gone."""
        now = await transaction.row(f"SELECT version FROM {resource.name} WHERE id = $1", known["local_id"])  # noqa: S608
        if now is None:
            return None
        if known["local_version"] in {None, now["version"]} and not known["edited"]:
            return Base()
        fields = json.loads(known["fields"]) if known["fields"] else None
        return Base(known["local_version"], fields, frozenset(known["edited"]))

    @staticmethod
    async def _unknown(transaction: Transaction, resource: Resource, local: UUID) -> Base:
        """Return what is known of a record that came otherwise: all of it is ours, if anybody here has written it."""
        sql = (
            "SELECT FROM changes WHERE record_id = $1 AND closed AND (actor IS NULL OR actor NOT LIKE 'pull %') LIMIT 1"
        )
        written = await transaction.row(sql, local) is not None
        return Base(edited=names_of(resource)) if written else Base()

    async def _merge(  # noqa: PLR0913, PLR0917 -- a record, what it names, and what it was
        self,
        transaction: Transaction,
        resource: Resource,
        given: RecordIn,
        local: UUID,
        refs: dict[tuple[str, Ref], UUID],
        base: Base,
    ) -> tuple[UUID, frozenset[str]]:
        """Bring their version into what is here, and count what became of it; return in which fields ours stays."""
        if base == Base():
            return await self._write(transaction, resource, given, local, local, refs), frozenset()
        before = await self._version(transaction, resource, local)
        sender = Sender(self._name, given.origin or "")
        edited = await bring(transaction, resource, local, given, refs, base, sender)
        await self._count(transaction, resource, local, before)
        return local, edited

    @staticmethod
    async def _version(transaction: Transaction, resource: Resource, record_id: UUID) -> int | None:
        row = await transaction.row(f"SELECT version FROM {resource.name} WHERE id = $1", record_id)  # noqa: S608
        return row["version"] if row else None

    async def _count(self, transaction: Transaction, resource: Resource, local: UUID, before: int | None) -> None:
        await transaction.settle()
        if await self._version(transaction, resource, local) == before:
            self.counts.unchanged += 1
        else:
            self.counts.updated += 1

    async def _write(  # noqa: PLR0913, PLR0917 -- a record, where it is, and what it names
        self,
        transaction: Transaction,
        resource: Resource,
        given: RecordIn,
        local: UUID | None,
        remote: UUID,
        refs: dict[tuple[str, Ref], UUID],
    ) -> UUID:
        """Write one record and count what became of it."""
        if local is None:
            local = uuid4() if await self._version(transaction, resource, remote) else remote
            tables = {resource.table.name: resource.table} | {n: t for n, (t, _) in tables_of(resource).items()}
            await insert(transaction, rows_of(resource, local, given, refs), tables)
            await transaction.settle()
            self.counts.created += 1
            return local
        before = await self._version(transaction, resource, local)
        await crud.overwrite(transaction, resource, local, given, refs)
        await self._count(transaction, resource, local, before)
        return local

    async def _here(
        self, transaction: Transaction, resource: Resource, data: dict[str, Any]
    ) -> tuple[UUID | None, bool]:
        """Find the record here by its identity; a statute or a place also by its key, and then ours is kept."""
        sql = f"SELECT id FROM {resource.name} WHERE origin = $1 AND origin_id = $2"  # noqa: S608 -- our own names
        found = await transaction.row(sql, data["origin"], data["origin_id"])
        if found is not None:
            return found["id"], False
        column = TARGETS[resource.name].key
        if column is None or data.get(column) is None:
            return None, False
        sql = f"SELECT id FROM {resource.name} WHERE {column} = $1"  # noqa: S608
        found = await transaction.row(sql, data[column])
        return (found["id"], True) if found else (None, False)

    async def _reference(self, transaction: Transaction, table: str, ref: Ref, above: frozenset[str]) -> UUID:
        """Return the id here of what a record names; what is not here is asked for and stored first.

        Whoever was merged here is now the one who stayed. What was deleted here is not asked for again: it stays the
        id of nobody, which the database refuses.
        """
        row = await transaction.row(
            "SELECT coalesce("  # noqa: S608
            + standing(table, "t.id = coalesce(k.local_id, $2)")
            + ", k.local_id) AS id FROM (VALUES (1)) AS one LEFT JOIN pulled k ON k.peer = $1 AND k.remote_id = $2",
            self._name,
            ref.id,
        )
        found: UUID | None = row["id"]
        if found is None and ref.id is not None and str(ref.id) not in above:
            data = await self._peer.record(table, ref.id)
            if data is not None:
                item = {"type": NAMES[table], "id": str(ref.id), "version": data["version"], "origin": data["origin"]}
                found = await self._upsert(transaction, {**item, "data": data}, above)
        if found is None:
            raise _Missing
        return found

    async def _separate(self, transaction: Transaction, remote: UUID) -> None:
        """Undo merges of a person who may no longer be held, so that nothing of theirs stays under another's name."""
        known = await transaction.row(
            "SELECT local_id FROM pulled WHERE peer = $1 AND remote_id = $2", self._name, remote
        )
        if known is not None and await take_apart(transaction, known["local_id"], self._name):
            self.counts.removed += 1

    async def _follow_all(self, transaction: Transaction, items: list[dict[str, Any]]) -> set[str]:
        """Merge here whom the owner merged, and undo what the owner undid; return the ids of those who were merged."""
        persons = {i["id"]: i for i in items if i["type"] == "person" and i["op"] == "upsert"}
        if persons:
            identities = [(i["data"]["origin"], i["data"]["origin_id"]) for i in persons.values()]
            await give_back(transaction, identities)
        merges = [i for i in items if i["op"] == "merge" and i["type"] == "person"]
        return {i["id"] for i in merges if await self._follow(transaction, i, persons.get(i["into"]))}

    async def _follow(self, transaction: Transaction, item: dict[str, Any], stays: dict[str, Any] | None) -> bool:
        """Merge one person into another as their owner did, if both came from there and stand here by themselves."""
        known = await transaction.row(STANDING, self._name, UUID(item["id"]), self._origin)
        if known is None or await transaction.row(BROUGHT, known["local_id"]) is None:
            return False
        into = await transaction.row(STANDING, self._name, UUID(item["into"]), self._origin)
        if into is None and stays is not None:
            # New with this page: without the ids of parts that the other still has.
            bare = [{k: v for k, v in part.items() if k != "id"} for part in stays["data"].get("names") or []]
            data = {**stays["data"], "names": bare, "affiliations": [], "citations": []}
            await self._upsert(transaction, {**stays, "version": 0, "data": data}, frozenset())
            into = await transaction.row(STANDING, self._name, UUID(item["into"]), self._origin)
        if into is None:
            return False
        resource, local = RESOURCES["person"], known["local_id"]
        edited = {*known["edited"], *await edited_since(transaction, resource, local, known["local_version"])}
        if not await follow(transaction, local, into["local_id"], edited):
            return False
        await self._forget(transaction, local, item)
        self.counts.removed += 1
        return True

    async def _forget(self, transaction: Transaction, local: UUID, item: dict[str, Any]) -> None:
        """Forget what was pulled of a record that is no longer held, and what the peer proposed for it."""
        withdrawn = "DELETE FROM proposals WHERE record_id = $1 AND source = $2 AND state = 'open'"
        await transaction.fetch(withdrawn, local, self._name)
        await transaction.fetch("DELETE FROM pulled WHERE peer = $1 AND remote_id = $2", self._name, UUID(item["id"]))

    async def _remove(self, transaction: Transaction, item: dict[str, Any]) -> None:
        """Delete a record that may no longer be held; while others here still name it, it is hidden instead."""
        known = await transaction.row(
            "SELECT local_id FROM pulled WHERE peer = $1 AND remote_id = $2", self._name, UUID(item["id"])
        )
        if known is None:
            return
        resource, local = RESOURCES[item["type"]], known["local_id"]
        owned = await transaction.row(f"SELECT origin FROM {resource.name} WHERE id = $1", local)  # noqa: S608
        foreign = owned is not None and owned["origin"] != self._origin
        # What was made here is ours, whatever its origin: the peer may only be giving back that we withdrew it.
        if foreign and await transaction.row(BROUGHT, local) is not None:
            try:
                async with refusable(transaction):
                    if item["type"] == "person":
                        await let_go(transaction, local)
                    await transaction.fetch(f"DELETE FROM {resource.name} WHERE id = $1", local)  # noqa: S608
                    await transaction.settle()
            except RefusedError:
                await transaction.fetch(f"UPDATE {resource.name} SET level = 2 WHERE id = $1", local)  # noqa: S608
            else:
                if item.get("reason") == "withdrawn":
                    await transaction.fetch("SELECT forget_withdrawn($1)", local)
            self.counts.removed += 1
        await self._forget(transaction, local, item)

    # --- comparing ----------------------------------------------------------------------------------

    async def differences(self) -> dict[str, int]:
        """Return for each type in how many of 256 buckets the digests differ; empty when all are equal."""
        found = {}
        for name in self._types or TYPES:
            theirs = await self._peer.digest({"type": name, "exclude_origin": self._origin})
            sql = "SELECT local_id FROM pulled WHERE peer = $1 AND record_type = $2"
            ids = [r[0] for r in await self._database.fetch(Audience.EDITOR, sql, self._name, name)]
            audience = (Audience.PUBLIC, Audience.PARTNER, Audience.EDITOR)[LEVELS.index(theirs["level"])]
            async with self._database.stream(audience) as connection:
                ours = await read_buckets(connection, RESOURCES[name], self._origin, ids)
            left, right = (
                {b["bucket"]: (b["count"], b["checksum"]) for b in side} for side in (ours, theirs["buckets"])
            )
            if left != right:
                found[name] = sum(left.get(b) != right.get(b) for b in left.keys() | right.keys())
        return found


STANDING = """
SELECT k.* FROM pulled k JOIN persons p ON p.id = k.local_id
 WHERE k.peer = $1 AND k.remote_id = $2 AND p.origin <> $3
"""
"""What is known of a person of the other registry who is a person of their own here, and not ours."""

BROUGHT = """
SELECT FROM (SELECT actor FROM changes WHERE record_id = $1 AND closed ORDER BY id LIMIT 1) AS first
 WHERE first.actor LIKE 'pull %'
"""
"""Whether a record came here first by a pull."""


class _Missing(Exception):  # noqa: N818
    """Something that a record names cannot be had."""


__all__ = ["Counts", "Peer", "Pull", "PullError"]
