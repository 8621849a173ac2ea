"""What the registry knew on an earlier day: the tables as the recorded versions say they stood."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy.dialects import postgresql

from app.core.filters import rows

KINDS = {
    "events": "event",
    "cases": "case",
    "persons": "person",
    "statuses": "status",
    "statutes": "statute",
    "places": "place",
    "organisations": "organisation",
}
"""Table → the kind of record in the change log."""

PARTS = {
    "participants": (("event", "event_id"),),
    "event_statutes": (("event", "event_id"),),
    "charges": (("case", "case_id"),),
    "sentences": (("case", "case_id"),),
    "sentence_components": (("case", "sentence_id"),),
    "case_judges": (("case", "case_id"),),
    "citations": (("event", "event_id"), ("case", "case_id"), ("status", "status_id")),
}
"""Part table → the documents that it is in, each with the column that points at its record (or its sentence)."""

FOREVER = datetime.max.replace(tzinfo=UTC)

_WITH = re.compile(r"^WITH (RECURSIVE )?")
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def _uses(sql: str, table: str) -> bool:
    return re.search(rf"\b(?:FROM|JOIN|,) \(*{table}\b", sql) is not None


def _columns(sql: str, table: str) -> dict[str, str]:
    """Return the columns of a table that a statement names, each with its type."""
    named = set(re.findall(rf'\b{table}(?:_\d+)?\."?(\w+)', sql)) | {"id"}
    return {c.name: c.type.compile(_DIALECT) for c in rows(table).columns if c.name in named}


def _owners(sql: str, table: str) -> list[tuple[str, str]]:
    """Return the documents in which a statement looks for parts: by the columns through which it joins them."""
    named = _columns(sql, table)
    return [(kind, column) for kind, column in PARTS[table] if column in named] or list(PARTS[table])


def _known(kind: str) -> list[str]:
    """Return what has changed since, as this login sees it, and the documents of that as they were."""
    since = f"WHERE record_type = '{kind}' AND at >= {{until}}"
    documents = f"known_documents('{kind}', {{day}})"
    return [
        f"changed_{kind} AS MATERIALIZED (SELECT DISTINCT record_id AS id FROM changes {since})",  # noqa: S608 -- our own
        f"known_{kind} AS MATERIALIZED (SELECT d AS document FROM {documents} AS d)",  # noqa: S608
    ]


def _together(table: str, columns: dict[str, str], of_today: list[str], of_then: list[tuple[str, str]]) -> list[str]:
    """Return a table as it was known: the rows of today that may stand, and those out of the documents.

    `of_today` are the conditions of the former, `of_then` the items of the latter with the SQL of what they lack.
    """
    names = ", ".join(f'"{n}"' for n in columns)
    fields = ", ".join(f'"{n}" {t}' for n, t in columns.items())
    items = " UNION ALL ".join(
        f"SELECT r.* FROM {source}, jsonb_to_record({item}) AS r({fields})"  # noqa: S608 -- our own names
        for source, item in of_then
    )
    today = " UNION ALL ".join(f"SELECT {names} FROM public.{table} t WHERE {on}" for on in of_today)  # noqa: S608
    return [
        f"{table}_then AS MATERIALIZED ({items})",
        f"{table} AS NOT MATERIALIZED ({today} UNION ALL SELECT {names} FROM {table}_then)",  # noqa: S608
    ]


def _records(sql: str, table: str) -> list[str]:
    kind = KINDS[table]
    unchanged = f"NOT EXISTS (SELECT FROM changed_{kind} c WHERE c.id = t.id)"
    return _together(table, _columns(sql, table), [unchanged], [(f"known_{kind} k", "k.document")])


def _parts(sql: str, table: str) -> list[str]:
    today, then = [], []
    for kind, owner in _owners(sql, table):
        if table == "sentence_components":
            changed = f"SELECT FROM changed_{kind} c JOIN public.sentences s ON s.case_id = c.id WHERE s.id = t.{owner}"
            source = f"known_{kind} k, jsonb_array_elements(k.document -> 'sentences') AS o, "
            source, of = source + "jsonb_array_elements(o -> 'components') AS e", "o"
        else:
            changed = f"SELECT FROM changed_{kind} c WHERE c.id = t.{owner}"
            source, of = f"known_{kind} k, jsonb_array_elements(k.document -> '{table}') AS e", "k.document"
        today.append(f"t.{owner} IS NOT NULL AND NOT EXISTS ({changed})")
        then.append((source, f"e || jsonb_build_object('{owner}', {of} -> 'id')"))
    return _together(table, _columns(sql, table), today, then)


def as_known(sql: str, arguments: list[Any], known_at: date) -> tuple[str, list[Any]]:
    """Put the tables as they were known at the end of a day (UTC) in place of those that a statement names.

    A common table expression hides the table of its name, so the statement itself stays as it is, filters and all. Of
    what has not changed since in the caller's sight, the row of today is what was known. The documents of the rest come
    from a function of the database, which gives each login only what it may still see.
    """
    tables = [t for t in KINDS if _uses(sql, t)]
    parts = [t for t in PARTS if _uses(sql, t)]
    kinds = {KINDS[t] for t in tables} | {kind for t in parts for kind, _ in _owners(sql, t)}
    known = [cte for k in sorted(kinds) for cte in _known(k)]
    known += [cte for t in tables for cte in _records(sql, t)] + [cte for t in parts for cte in _parts(sql, t)]
    if not known:
        return sql, arguments
    number = len(arguments)
    tables_then = ", ".join(known).replace("{day}", f"${number + 1}").replace("{until}", f"${number + 2}")
    rest = _WITH.sub("", sql)
    # Nothing is known after the last day of the calendar.
    until = datetime.combine(known_at + timedelta(days=1), time(), UTC) if known_at < date.max else FOREVER
    joined = f"WITH RECURSIVE {tables_then}" + (", " if rest != sql else " ") + rest
    return joined, [*arguments, known_at, until]
