"""From a read model to the SQL that yields its JSON: the one place where an answer's form meets the tables.

A scalar field is the column of its name; a date is its five columns; a reference is its id and label; a nested list is
a small select of its own. Row-level security applies inside every one of them, so a hidden part is simply absent.
"""

from collections.abc import Iterable, Iterator
from typing import Any, get_args

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Numeric,
    ScalarSelect,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from app.core.edtf import EdtfDate
from app.core.records import EDITORS_ONLY, LEVELS, Audience, Include, Links, Part, Read, Resource
from app.core.refs import TARGETS, Reference, To
from app.core.text import Amount

INCLUDE_CAP = 200
"""How many related records `include=` embeds before it gives a URL for the rest."""

SQL = ColumnElement[Any]


def json_object(pairs: Iterable[tuple[str, SQL]]) -> SQL:
    """Build a JSON object; names come from our own models, so they may stand in the SQL as they are."""
    arguments: list[SQL] = []
    for name, value in pairs:
        arguments += [literal_column(f"'{name}'"), value]
    return func.json_build_object(*arguments)


def json_list(item: SQL, *order: SQL) -> SQL:
    """Aggregate rows into a JSON array in the given order; no rows are an empty array."""
    return func.coalesce(func.json_agg(aggregate_order_by(item, *order)), literal_column("'[]'::json"))


def readers_first(language: SQL) -> SQL:
    """Order by the reader's languages, the most wanted first; what is in none of them, or where none is said, last."""
    wanted = bindparam("lang", None, type_=ARRAY(Text))
    return func.array_position(wanted, func.split_part(func.lower(language), "-", 1)).asc().nulls_last()


def level_name(column: SQL) -> SQL:
    """Name a level as clients know it."""
    return case(*((column == literal_column(str(n)), literal_column(f"'{name}'")) for n, name in enumerate(LEVELS)))


def date_object(source: FromClause, name: str) -> SQL:
    """Show a date as its EDTF text, its bounds, and the words in which it was printed."""
    c = source.c
    shown = json_object(
        (
            ("edtf", c[name]),
            ("earliest", c[f"{name}_earliest"]),
            ("latest", c[f"{name}_latest"]),
            ("printed", c[f"{name}_printed"]),
            ("inferred", func.coalesce(c[f"{name}_inferred"], literal_column("false"))),
        )
    )
    return case((c[name].is_not(None), shown))


def reference(table: str, column: SQL) -> ScalarSelect[Any]:
    """Show a reference as `{id, label, key}`.

    A record is never more visible than what it names (PostgreSQL keeps that), so the target is always found.
    """
    to = TARGETS[table]
    row = to.table.alias()
    pairs = [("id", row.c.id), ("label", to.label(row.c)), ("key", row.c[to.key] if to.key else null())]
    return select(json_object(pairs)).where(row.c.id == column).scalar_subquery()


def _is(annotation: Any, kind: type) -> bool:
    return annotation is kind or kind in get_args(annotation)


def _scalar(read: type[Read], name: str, source: FromClause, audience: Audience) -> SQL:
    """Project one field that is not a nested list."""
    info = read.model_fields[name]
    if name in {"level", "effective_level"}:
        return level_name(source.c[name])
    if name == "version":
        return source.c[audience.version_column]
    if _is(info.annotation, EdtfDate):
        return date_object(source, name)
    if _is(info.annotation, Reference):
        to = next(m for m in info.metadata if isinstance(m, To))
        return reference(to.table, source.c[f"{name}_id"])
    if isinstance(source.c[name].type, Numeric):
        plain = func.trim_scale(source.c[name])  # 4.5, not the 4.5000 of the column
        return cast(plain, Text) if _is(info.annotation, Amount) else plain
    return source.c[name]


def _fields(
    read: type[Read], source: FromClause, audience: Audience, nested: dict[str, SQL], only: frozenset[str] | None = None
) -> Iterator[tuple[str, SQL]]:
    """Yield each field of `read` that this audience may see and `only` asks for, with the SQL of its value."""
    for name, info in read.model_fields.items():
        shown = info.alias or name
        if (only is None or shown in only) and (audience.sees_everything or name not in EDITORS_ONLY):
            yield shown, nested[name] if name in nested else _scalar(read, name, source, audience)


def _part(part: Part, owner: FromClause, audience: Audience) -> SQL:
    row = part.table.alias()
    nested = {p.name: _part(p, row, audience) for p in part.parts}
    item = json_object(_fields(part.read, row, audience, nested))
    order: list[SQL] = [row.c.position, row.c.id]
    if "language" in row.c and not audience.sees_everything:  # who may send a record back gets the order that is kept
        order.insert(0, readers_first(row.c.language))
    return select(json_list(item, *order)).where(row.c[part.owner] == owner.c.id).scalar_subquery()


def _links(links: Links, owner: FromClause) -> SQL:
    row = links.table.alias()
    item = reference(links.to, row.c[links.column])
    return select(json_list(item, row.c.position, row.c.id)).where(row.c[links.owner] == owner.c.id).scalar_subquery()


def _included(include: Include, owner: FromClause, audience: Audience) -> tuple[SQL, SQL]:
    """Return the embedded list, and the URL of all of it where there is more than is embedded."""
    resource = include.resource()
    row = resource.table.alias()
    # Tied to the owner by hand: by itself SQLAlchemy looks for it only in the select just around this one.
    ids = select(row.c.id).where(include.on(row, owner.c.id)).order_by(row.c.id).correlate_except(row)
    first = ids.limit(INCLUDE_CAP).subquery()
    other = resource.table.alias()
    items = (
        select(json_list(shape(resource, other, audience), other.c.id))
        .where(other.c.id.in_(select(first.c.id)))
        .scalar_subquery()
    )
    url = literal_column(f"'/v1/{resource.name}?{include.rest}='").concat(cast(owner.c.id, Text))
    rest = case((ids.offset(INCLUDE_CAP).limit(1).exists(), url))
    return items, rest


def shape(
    resource: Resource,
    source: FromClause,
    audience: Audience,
    include: frozenset[str] = frozenset(),
    only: frozenset[str] | None = None,
) -> SQL:
    """Return the SQL that yields one record of `resource` as JSON, as `audience` sees it.

    `include` names related lists to embed; their URLs, where they are cut, stand under `more`.
    """
    nested = {p.name: _part(p, source, audience) for p in resource.parts}
    nested |= {x.name: _links(x, source) for x in resource.links}
    pairs = list(_fields(resource.read, source, audience, nested, only))
    if include:
        embedded = {name: _included(resource.includes[name], source, audience) for name in sorted(include)}
        pairs += [(name, items) for name, (items, _) in embedded.items()]
        pairs.append(("more", func.json_strip_nulls(json_object((n, rest) for n, (_, rest) in embedded.items()))))
    return json_object(pairs)
