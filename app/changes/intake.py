"""What partners send: each row of a partner's own is taken in restricted, pending an editor.

The answers follow from what this partner has sent and may see, and from nothing else: whatever the rest of the registry
has against a row makes a proposal of it, for editors, and the answer is the same. So nobody learns of a hidden record
by sending what would meet it. PostgreSQL keeps all of this, in `take_in`; here rows are only made ready for it.
"""

import json
from typing import NamedTuple
from uuid import UUID, uuid4

import asyncpg

from app.changes.fields import Refs, hashes, with_ids
from app.changes.models import RESOURCES
from app.core.access import Key
from app.core.database import Transaction
from app.core.errors import ChangedMeanwhile, FieldProblem, Forbidden, Gone, Invalid, Unauthorised
from app.core.records import RecordIn
from app.core.rows import find_refs, missing_code, references, rows_of
from app.core.vocabulary import code_fields

OWN = "SELECT n, id, told FROM own_records($1, $2, $3)"
TAKE = "SELECT result, told, version FROM take_in($1, $2, $3, $4, $5, $6, $7, $8)"
TYPE_OF = {r.name: r.type for r in RESOURCES.values()}


class Taken(NamedTuple):
    """What a partner is told of a row: created, updated or unchanged; the id; how many different ones it has sent."""

    result: str
    id: UUID
    version: int


class Intake:
    """One request of a partner's."""

    def __init__(self, transaction: Transaction, key: Key) -> None:
        """Take the partner's transaction, and the key that proves whose it is."""
        self._transaction, self._key = transaction, key
        self._codes: frozenset[tuple[str, str]] | None = None

    async def take(self, kind: str, given: RecordIn, base: int | None) -> Taken:
        """Take in one record; raises a `Problem` for what is the row's own fault, `Unauthorised` for a revoked key."""
        if given.origin != self._key.origin:
            detail = "a partner's key writes the records of its own origin, and no others"
            raise Forbidden(detail, errors=[FieldProblem(pointer="/origin", code="not_yours", detail=detail)])
        refs, complete = await self._find(given)
        # Parts keep the level that was sent, and come forth with the record when an editor publishes it.
        rows = rows_of(RESOURCES[kind], uuid4(), given, refs) if complete else None
        sent = json.dumps(with_ids(given, refs), ensure_ascii=False)
        arguments = (
            kind,
            given.origin_id,
            base,
            rows and json.dumps(rows, default=str),
            sent,
            json.dumps(hashes(given)),
        )
        try:
            answer = await self._transaction.row(TAKE, self._key.id, self._key.proof, *arguments)
        except asyncpg.InvalidAuthorizationSpecificationError:
            raise Unauthorised from None
        except asyncpg.InsufficientPrivilegeError:  # hidden since it was looked up: as if it had not been found
            raise _unknown([""]) from None
        if answer["result"] == "gone":
            raise Gone
        if answer["result"] == "stale":
            detail = "It is not made on what was sent last, or on what can be read now; repeat your change on that."
            raise ChangedMeanwhile(detail, version=answer["version"])
        return Taken(answer["result"], answer["told"], answer["version"])

    async def _find(self, given: RecordIn) -> tuple[Refs, bool]:
        """Find what a record names, among what the partner may see and what it has sent; raises `Invalid`.

        False where something that it has sent is not to be had: it learns nothing of that, and what is kept of the row
        has the id that it was told, and not its own name for what may have been erased.
        """
        found: Refs = {}
        complete = True
        refs = list(references(given))
        if refs:
            there = await find_refs(self._transaction, {(tab, ref) for _, tab, ref in refs})
            seen = {n: there[tab, ref] for n, (_, tab, ref) in enumerate(refs) if (tab, ref) in there}
            rest = [
                {"n": n, "tab": tab, "kind": TYPE_OF[tab], **ref.model_dump(mode="json")}
                for n, (_, tab, ref) in enumerate(refs)
                if n not in seen
            ]
            own = await self._transaction.fetch(OWN, self._key.id, self._key.proof, json.dumps(rest)) if rest else []
            seen |= {r["n"]: r["id"] or r["told"] for r in own}
            complete = all(r["id"] for r in own)
            if unknown := [pointer for n, (pointer, _, _) in enumerate(refs) if n not in seen]:
                raise _unknown(unknown)
            found = {(tab, ref): seen[n] for n, (_, tab, ref) in enumerate(refs)}
        await self._check_codes(given)
        return found, complete

    async def _check_codes(self, given: RecordIn) -> None:
        """Raise `Invalid` for a code that its vocabulary does not have."""
        if self._codes is None:
            rows = await self._transaction.fetch("SELECT vocabulary, code FROM vocabulary_terms")
            self._codes = frozenset((r["vocabulary"], r["code"]) for r in rows)
        wrong = [
            missing_code(f"/data{pointer}", vocabulary)
            for pointer, vocabulary, code in code_fields(given)
            if (vocabulary, code) not in self._codes
        ]
        if wrong:
            raise Invalid("See `errors` for each part that is wrong.", errors=wrong)


def _unknown(pointers: list[str]) -> Invalid:
    detail = "there is no such record, as far as this key can see"
    wrong = [FieldProblem(pointer=f"/data{pointer}", code="unknown_reference", detail=detail) for pointer in pointers]
    return Invalid("See `errors` for each part that is wrong.", errors=wrong)
