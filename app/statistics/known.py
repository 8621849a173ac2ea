"""What the registry knew on an earlier day: the tables as the recorded versions say they stood."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

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
    "case_judges": (("case", "case_id"),),
    "citations": (("event", "event_id"), ("case", "case_id"), ("status", "status_id")),
}
"""Part table → the documents that it is in, each with the column that points at its record."""

_WITH = re.compile(r"^WITH (RECURSIVE )?")


def _uses(sql: str, table: str) -> bool:
    return re.search(rf"\b(?:FROM|JOIN|,) \(*{table}\b", sql) is not None


def _documents(kind: str, until: str) -> str:
    return f"known_{kind} AS MATERIALIZED (SELECT d AS document FROM known_documents('{kind}', {until}) AS d)"  # noqa: S608


def _records(table: str, kind: str) -> str:
    populated = f"jsonb_populate_record(NULL::public.{table}, k.document) AS r"
    return f"{table} AS (SELECT r.* FROM known_{kind} k, {populated})"  # noqa: S608 -- our own names


def _parts(table: str) -> str:
    some = [
        f"SELECT r.* FROM known_{kind} k, jsonb_array_elements(k.document -> '{table}') AS e, "  # noqa: S608
        f"jsonb_populate_record(NULL::public.{table}, e || jsonb_build_object('{owner}', k.document -> 'id')) AS r"
        for kind, owner in PARTS[table]
    ]
    return f"{table} AS ({' UNION ALL '.join(some)})"


_COMPONENTS = (
    "sentence_components AS (SELECT r.* FROM known_case k, jsonb_array_elements(k.document -> 'sentences') AS s, "
    "jsonb_array_elements(s -> 'components') AS e, jsonb_populate_record(NULL::public.sentence_components, "
    "e || jsonb_build_object('sentence_id', s -> 'id')) AS r)"
)


def as_known(sql: str, arguments: list[Any], known_at: date) -> tuple[str, list[Any]]:
    """Put the tables as they were known at the end of a day (UTC) in place of those that a statement names.

    A common table expression hides the table of its name, so the statement itself stays as it is, filters and all.
    The documents come from a function of the database, which gives each login only what it may still see.
    """
    until = f"${len(arguments) + 1}"
    tables = [t for t in KINDS if _uses(sql, t)]
    parts = [t for t in PARTS if _uses(sql, t)]
    components = _uses(sql, "sentence_components")
    kinds = (
        {KINDS[t] for t in tables} | {kind for t in parts for kind, _ in PARTS[t]} | ({"case"} if components else set())
    )
    known = [_documents(k, until) for k in sorted(kinds)]
    known += (
        [_records(t, KINDS[t]) for t in tables] + [_parts(t) for t in parts] + ([_COMPONENTS] if components else [])
    )
    if not known:
        return sql, arguments
    rest = _WITH.sub("", sql)
    joined = "WITH RECURSIVE " + ", ".join(known) + (", " if rest != sql else " ") + rest
    return joined, [*arguments, datetime.combine(known_at + timedelta(days=1), time(), UTC)]
