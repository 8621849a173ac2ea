"""Which of many records are kept just as they are given: the database tells it in one statement, and locks nothing."""

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Table

from app.core.database import Transaction
from app.core.records import Part, Resource
from app.core.rows import Rows, tables_of, to_json, writable


async def different(transaction: Transaction, resource: Resource, given: Sequence[dict[str, Rows]]) -> set[UUID]:
    """Return the ids of those of the given records, each as rows by table name, that are kept in another form."""
    documents = [_document(resource, rows) for rows in given]
    return {r[0] for r in await transaction.fetch(_different_sql(resource), to_json(documents))}


def _compared(table: Table, owner: str) -> list[str]:
    """Return the columns that say what a row is: all that are given but the ids, which may differ between equals."""
    return [c for c in writable(table) if c not in {"id", owner, "origin", "origin_id"}]


def _lists(parts: Sequence[Part], given: str, kept: str) -> list[tuple[str, str]]:
    """Return for each list of parts its rows as given, in the document `given`, and as kept by the owner `kept`."""
    both = []
    for part in parts:
        name, alias = part.table.name, f"{kept.partition('.')[0]}_{part.table.name}"
        inner = _lists(part.parts, f"{alias}_given.doc", f"{alias}.id")
        columns = [f'{alias}."{c}"' for c in _compared(part.table, part.owner)]
        ours, theirs = (", ".join([*columns, *(pair[side] for pair in inner)]) for side in (0, 1))
        given_rows = (
            f"(SELECT array_agg(ROW({ours}) ORDER BY {alias}.position) "  # noqa: S608 -- names of our own tables
            f"FROM jsonb_array_elements({given} -> '{name}') AS {alias}_given(doc), "
            f"jsonb_populate_record(NULL::{name}, {alias}_given.doc) AS {alias})"
        )
        kept_rows = (
            f"(SELECT array_agg(ROW({theirs}) ORDER BY {alias}.position, {alias}.id) "  # noqa: S608
            f'FROM {name} AS {alias} WHERE {alias}."{part.owner}" = {kept})'
        )
        both.append((given_rows, kept_rows))
    return both


@cache
def _different_sql(resource: Resource) -> str:
    """Return the statement that tells which of the given records are not kept just so; ids of parts do not matter."""
    name = resource.table.name
    links = [Part(x.name, x.table, x.owner, resource.read) for x in resource.links]
    pairs = _lists([*resource.parts, *links], "g.doc", "t.id")
    own = _compared(resource.table, "id")
    given, kept = (", ".join(f'{side}."{c}"' for c in own) for side in ("n", "t"))
    different = [f"ROW({kept}) IS DISTINCT FROM ROW({given})"]
    different += [f"{ours} IS DISTINCT FROM {theirs}" for ours, theirs in pairs]
    return (
        "SELECT t.id FROM jsonb_array_elements($1::jsonb) AS g(doc) "  # noqa: S608
        f"CROSS JOIN LATERAL jsonb_populate_record(NULL::{name}, g.doc) AS n "
        f"CROSS JOIN LATERAL (SELECT * FROM {name} k WHERE k.id = n.id LIMIT 1) AS t WHERE " + " OR ".join(different)
    )


def _document(resource: Resource, rows: dict[str, Rows]) -> dict[str, Any]:
    """Return the rows of one record as one: the own row, with the rows of its parts under their tables' names."""
    owned = tables_of(resource)
    by_id = {row["id"]: dict(row) for some in rows.values() for row in some}
    for name, (_, owner) in owned.items():
        for row in rows.get(name, []):
            by_id[row[owner]].setdefault(name, []).append(by_id[row["id"]])
    return by_id[rows[resource.table.name][0]["id"]]
