"""A record as a row of a spreadsheet: which columns an export in CSV has, and how their cells are kept harmless.

A scalar is one column; a date is four (`date`, `date_earliest`, `date_latest`, `date_printed`); a reference is its id
and its label (`court_id`, `court`), with its key where it has one; a list of codes is joined by `; `; a list of
references likewise, labels and ids; any other nested list is one column of JSON, the same as in NDJSON.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, get_args, get_origin

from sqlalchemy import ARRAY, ColumnElement, FromClause, String, Text, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by
from sqlmodel import AutoString

from app.core.edtf import EdtfDate
from app.core.records import EDITORS_ONLY, Audience, Links, Resource
from app.core.refs import TARGETS, Reference, To
from app.core.shapes import level_name, shape

SQL = ColumnElement[Any]

CALLED = "called"
"""The first column: what the record is called wherever others refer to it."""

BREAK = "\x1e"
"""Stands for a line break inside a cell until the line breaks between records have become CRLF; no text may hold it."""

FORMULA: SQL = literal_column(r"'^(''*[-=+@\t\r\n])'")
APOSTROPHE_BEFORE: SQL = literal_column(r"'''\1'")
LINE_BREAK: SQL = literal_column(r"E'\n'")
SEPARATOR: SQL = literal_column("'; '")


def _cell(text: SQL) -> SQL:
    """Put an apostrophe before what a spreadsheet would take for a formula, and before an apostrophe of that kind."""
    guarded = func.regexp_replace(text, FORMULA, APOSTROPHE_BEFORE)
    return func.replace(guarded, LINE_BREAK, literal_column(r"E'\x1e'"))


def _reference(name: str, table: str, key: SQL) -> Iterator[tuple[str, SQL]]:
    to = TARGETS[table]
    shown = {name: to.label} | ({f"{name}_key": lambda c: c[to.key]} if to.key else {})
    yield f"{name}_id", key
    for column, of in shown.items():
        row = to.table.alias()
        yield column, _cell(select(of(row.c)).where(row.c.id == key).scalar_subquery())


def _links(links: Links, source: FromClause) -> Iterator[tuple[str, SQL]]:
    to = TARGETS[links.to]
    for name, of in ((f"{links.name}_id", lambda c: c.id), (links.name, to.label)):
        row, target = links.table.alias(), to.table.alias()
        joined = func.string_agg(cast(of(target.c), Text), aggregate_order_by(SEPARATOR, row.c.position, row.c.id))
        found = select(joined).select_from(row.join(target, target.c.id == row.c[links.column]))
        yield name, _cell(found.where(row.c[links.owner] == source.c.id).scalar_subquery())


def _is_text(column: SQL) -> bool:
    return isinstance(column.type, AutoString | String)


def _plain(name: str, source: FromClause, audience: Audience) -> SQL:
    if name in {"level", "effective_level"}:
        return level_name(source.c[name])
    column = source.c[audience.version_column] if name == "version" else source.c[name]
    if isinstance(column.type, ARRAY):
        return _cell(func.array_to_string(column, SEPARATOR))
    if isinstance(column.type, JSONB):
        return _cell(cast(column, Text))
    return _cell(column) if _is_text(column) else column


def _is(annotation: Any, kind: type) -> bool:
    return annotation is kind or kind in get_args(annotation)


def columns(resource: Resource, source: FromClause, audience: Audience) -> Iterator[tuple[str, SQL]]:
    """Yield each column of the resource's table with the SQL of its cells, as `audience` sees them."""
    links = {x.name: x for x in resource.links}
    if resource.name in TARGETS:
        yield CALLED, _cell(TARGETS[resource.name].label(source.c))
    for name, info in resource.read.model_fields.items():
        shown = info.alias or name
        if name in EDITORS_ONLY and not audience.sees_everything:
            continue
        if name in links:
            yield from _links(links[name], source)
        elif get_origin(info.annotation) is list and name not in source.c:
            whole = shape(resource, source, audience, only=frozenset({shown}))
            yield shown, cast(func.json_extract_path(whole, literal_column(f"'{shown}'")), Text)
        elif _is(info.annotation, EdtfDate):
            yield shown, _cell(source.c[name])
            yield f"{shown}_earliest", source.c[f"{name}_earliest"]
            yield f"{shown}_latest", source.c[f"{name}_latest"]
            yield f"{shown}_printed", _cell(source.c[f"{name}_printed"])
        elif _is(info.annotation, Reference):
            to = next(m for m in info.metadata if isinstance(m, To))
            yield from _reference(shown, to.table, source.c[f"{name}_id"])
        else:
            yield shown, _plain(name, source, audience)


@lru_cache(maxsize=64)
def quoted(resource: Resource) -> tuple[str, ...]:
    """Name the columns whose cells may hold line breaks: COPY cannot see these any more and must quote them all."""
    own = resource.table.c
    return tuple(i.alias or n for n, i in resource.read.model_fields.items() if n in own and _is_text(own[n]))
