"""A mapping: how the columns of somebody's file become linked records, written in TOML; see docs/import.md.

A mapping first takes *values* out of a row (a cell, cleaned, split, matched, looked up), then fills the *records* of
the row with them. It is data: no code is ever needed for one source.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import NAMESPACE_URL, uuid5

from pydantic import BaseModel, ConfigDict, Field

from app.core import edtf


class MappingError(Exception):
    """The mapping cannot be used; the message is one line."""


class RowProblem(Exception):  # noqa: N818 -- it is what the report calls it
    """What is wrong with a row: the column or field, and what."""

    def __init__(self, column: str, problem: str, unknown: Sequence[tuple[str, str]] = ()) -> None:
        """Keep where and what; `unknown` are tables of the mapping with the values that they do not have."""
        super().__init__(problem)
        self.column, self.problem, self.unknown = column, problem, unknown


class Strict(BaseModel):
    """Base of the parts of a mapping: a misspelt key is an error."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class Identity(Strict):
    """What makes a row the same row when the file is imported again."""

    columns: list[str] = Field(default_factory=list, description="Columns that tell rows apart; empty: the content.")
    without: list[str] = Field(default_factory=list, description="Columns that are no part of the content.")
    repeats: Literal["collapse", "separate"] = Field(
        default="collapse", description="Whether equal rows are one thing said twice, or as many things."
    )


class TableSpec(Strict):
    """A table to look values up in: written here, or in a file beside the imported one."""

    file: str | None = None
    key: str | None = None
    value: str | None = None
    entries: dict[str, str] = Field(default_factory=dict)


class ValueSpec(Strict):
    """How one value is taken out of a row; the steps are done in the order in which they stand here."""

    column: str | None = None
    columns: list[str] = Field(default_factory=list, description="Several columns, joined by a space.")
    ignore: list[str] = Field(default_factory=list)
    replace: list[tuple[str, str]] = Field(default_factory=list)
    find: str | None = None
    split: str | None = None
    distinct: bool = Field(default=False, description="Whether equal items of the list are one.")
    table: str | None = None
    map: dict[str, str] | None = None
    unknown: Literal["reject", "keep", "skip"] = "reject"
    pattern: str | None = None
    mismatch: Literal["reject", "skip"] = "reject"
    number: bool = False
    date: list[str] | None = None
    default: str | None = None
    parts: "dict[str, ValueSpec]" = Field(default_factory=dict)


class RecordSpec(Strict):
    """One record of a row, or with `each` one for each item of a value."""

    name: str
    resource: str
    each: str | None = None
    when: list[str] = Field(default_factory=list)
    unless: list[str] = Field(default_factory=list)
    id: str | None = None
    by: list[str] | None = None
    key: str | None = Field(default=None, description="Natural key by which the registry may have it already.")
    shared: bool = Field(default=False, description="Many rows tell of it: it is made once and then left as it is.")
    fields: dict[str, Any]


class Mapping(Strict):
    """A whole mapping."""

    name: str
    origin: str
    description: str = ""
    format: Literal["csv", "json", "ndjson"] | None = None
    encoding: str | None = None
    delimiter: str | None = None
    ignore: list[str] = Field(default_factory=list, description="Columns that are left out on purpose.")
    identity: Identity = Field(default_factory=Identity)
    tables: dict[str, TableSpec] = Field(default_factory=dict)
    values: dict[str, ValueSpec] = Field(default_factory=dict)
    records: Annotated[list[RecordSpec], Field(min_length=1)]

    @cached_property
    def columns(self) -> frozenset[str]:
        """Name the columns that the mapping uses or leaves out on purpose."""
        used = {c for n, v in self.values.items() for c in v.columns or [v.column or n]}
        return frozenset(used | self.identifying | {*self.identity.without, *self.ignore})

    @cached_property
    def identifying(self) -> frozenset[str]:
        """Name the columns that tell rows or records apart: without one of them, what differs would be one."""
        return frozenset({c for r in self.records for c in r.by or []} | {*self.identity.columns})


# --- tables -------------------------------------------------------------------------------------------


def _table(spec: TableSpec, name: str, directory: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    if spec.file:
        path = directory / spec.file
        try:
            text = path.read_text(encoding="utf-8-sig")
            if path.suffix == ".csv":
                reader = csv.DictReader(text.splitlines(keepends=True))
                found = {r[spec.key or ""]: r[spec.value or ""] for r in reader}
            else:
                found = {str(k): str(v) for k, v in json.loads(text).items()}
        except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
            raise MappingError(f"table {name}: {path.name} cannot be read: {type(error).__name__}") from None
    return {**found, **spec.entries}


# --- values -------------------------------------------------------------------------------------------


def text_of(value: Any) -> str | None:
    """Return a cell as text without surrounding spaces; None for an empty one."""
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.strip() or None


def digest(*parts: Any) -> str:
    """Return a short hash of values, 32 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=True, sort_keys=True).encode()).hexdigest()[:32]


MOST_DIGITS = 15
_GROUPING = re.compile(r"[\s\u00a0\u202f']")


@dataclass
class Values:
    """Takes values out of rows by a mapping's specifications."""

    mapping: Mapping
    directory: Path

    def __post_init__(self) -> None:
        """Read the tables."""
        self._unknown: list[tuple[str, str, str]] = []
        self.tables = {n: _table(t, n, self.directory) for n, t in self.mapping.tables.items()}

    def of(self, cells: dict[str, Any]) -> dict[str, Any]:
        """Return all values of a row; raises `RowProblem` for the first that is wrong, or for all that are unknown."""
        self._unknown = []
        found = {name: self._value(name, spec, cells) for name, spec in self.mapping.values.items()}
        if self._unknown:
            words = [(table, text) for _, table, text in self._unknown]
            raise RowProblem(self._unknown[0][0], "is not in the mapping's table", words)
        return found

    def _value(self, name: str, spec: ValueSpec, cells: dict[str, Any]) -> Any:
        column = spec.column or (spec.columns[0] if spec.columns else name)
        cell = cells.get(column)
        if spec.columns:
            cell = " ".join(t for c in spec.columns if (t := text_of(cells.get(c))))
        return self._taken(column, spec, cell)

    def _taken(self, column: str, spec: ValueSpec, cell: Any) -> Any:
        """Do the steps; a list in JSON is a list already, whose items are cleaned and searched but not split."""
        listed = isinstance(cell, list) and (spec.find is not None or spec.split is not None or bool(spec.parts))
        texts = [_cleaned(spec, c) for c in (cell if listed else [cell])]
        if spec.find is not None:
            texts = [text_of(found) for t in texts for found in re.findall(spec.find, t or "")]
        elif not listed and spec.split is not None:
            texts = [text_of(t) for t in re.split(spec.split, texts[0] or "")]
        elif not listed:
            return self._item(column, spec, texts[0])
        items = (
            self._item(column, spec, t) for t in (dict.fromkeys(texts) if spec.distinct else texts) if t is not None
        )
        return [i for i in items if i is not None]

    def _item(self, column: str, spec: ValueSpec, text: str | None) -> Any:  # noqa: PLR0911 -- one for each kind
        value = self._known(column, spec, text)
        if value is None:
            return spec.default
        if spec.pattern is not None:
            match = re.fullmatch(spec.pattern, value, re.DOTALL)
            if match is None:
                if spec.mismatch == "skip":
                    return spec.default
                raise RowProblem(column, f"does not match the pattern {spec.pattern}")
            if match.groupdict():
                return {n: _number(column, v) if spec.number else text_of(v) for n, v in match.groupdict().items()}
            value = match[1] if match.groups() else match[0]
            if value is None:
                return spec.default
        if spec.parts:
            return {n: self._taken(column, s, value) for n, s in spec.parts.items()}
        if spec.date is not None:
            return _date(column, value, spec.date)
        return _number(column, value) if spec.number else value

    def _known(self, column: str, spec: ValueSpec, text: str | None) -> str | None:
        if text is None or (spec.table is None and spec.map is None):
            return text
        for table in (spec.map, self.tables[spec.table] if spec.table else None):
            if table is not None and text in table:
                return text_of(table[text])
        if spec.unknown == "keep":
            return text
        if spec.unknown == "reject":
            self._unknown.append((column, f"table {spec.table}" if spec.table else f"column {column}", text))
        return None


def _cleaned(spec: ValueSpec, cell: Any) -> str | None:
    text = text_of(cell)
    for pattern, by in spec.replace:
        text = text_of(re.sub(pattern, by, text)) if text else None
    return None if text in spec.ignore else text


def _number(column: str, value: str | None) -> str | int | None:
    """Return a number without its grouping, a decimal as text: `1 350,00` as `1350.00`."""
    if value is None:
        return None
    plain = _GROUPING.sub("", value).replace(",", ".")
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", plain):
        raise RowProblem(column, "is not a number")
    return plain if "." in plain or len(plain) > MOST_DIGITS else int(plain)


def _date(column: str, value: str, forms: list[str]) -> str:
    """Return a date as EDTF by the first form that fits; `edtf` leaves it as it is."""
    for form in forms:
        try:
            if form == "edtf":
                edtf.bounds(value)
                return value
            day = datetime.strptime(value, form)  # noqa: DTZ007 -- a calendar day has no zone
        except ValueError:
            continue
        return f"{day:%Y-%m-%d}" if "%d" in form else f"{day:%Y-%m}" if re.search("%[mbB]", form) else f"{day:%Y}"
    raise RowProblem(column, f"is not a date of the form {' or '.join(forms)}")


# --- records ------------------------------------------------------------------------------------------


@dataclass
class Draft:
    """A record of a row before it is validated."""

    name: str
    resource: str
    origin_id: str
    shared: bool
    data: dict[str, Any]


PLACE = re.compile(r"\{(\??)([^{}]*)\}")
"""A place in a text: with a question mark it only asks whether there is a value; then the name."""


@cache
def _steps(path: str) -> tuple[str, ...]:
    return ("@", *path[1:].split(".")) if path.startswith("@") else tuple(path.split("."))


def _get(scope: dict[str, Any], path: str) -> Any:
    value: Any = scope
    for step in _steps(path):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _list(scope: dict[str, Any], path: str) -> list[Any]:
    found = _get(scope, path)
    if _present(found) and not isinstance(found, list):
        raise RowProblem(path, "is no list")
    return found or []


def _present(value: Any) -> bool:
    return value not in (None, "", [], {})


@cache
def _named(template: str) -> tuple[str, ...]:
    return tuple(n for _, n in PLACE.findall(template))


def _text(template: str, scope: dict[str, Any]) -> Any:
    if template.startswith(("$", "@")):
        return _get(scope, template.removeprefix("$"))
    if not (names := _named(template)):
        return template
    found = {n: _get(scope, n) for n in names}
    if any(not _present(v) for v in found.values()):
        return None
    return PLACE.sub(lambda m: "" if m[1] else str(found[m[2]]), template)


def fill(template: Any, scope: dict[str, Any]) -> Any:
    """Fill a template: `$value`, `@record`, `text with {value}`; what has no value is left out (None).

    `text{?value}` is the text alone, where the value is there.
    """
    if isinstance(template, str):
        return _text(template, scope)
    if isinstance(template, list):
        return [i for item in template for i in _items(item, scope) if i is not None]
    if isinstance(template, dict):
        filled = {k: fill(v, scope) for k, v in template.items()}
        return {k: v for k, v in filled.items() if v is not None}
    return template


def _items(template: Any, scope: dict[str, Any]) -> Iterator[Any]:
    """Yield what an item of a list becomes: with `each` one for each, with `when` none where that has no value."""
    if not isinstance(template, dict):
        yield fill(template, scope)
        return
    rest = {k: v for k, v in template.items() if k not in {"each", "when", "unless"}}
    for item in _list(scope, template["each"]) if "each" in template else [None]:
        inner = {**scope, "item": item} if "each" in template else scope
        if "when" in template and not _present(_get(inner, template["when"])):
            continue
        if "unless" in template and _present(_get(inner, template["unless"])):
            continue
        yield fill(rest, inner)


def drafts(mapping: Mapping, values: dict[str, Any], cells: dict[str, Any], row: str) -> Iterator[Draft]:
    """Yield the records of a row; `row` is the hash that tells it from all others."""
    scope: dict[str, Any] = {**values, "row": row, "row_uuid": str(uuid5(NAMESPACE_URL, row)), "@": {}}
    for spec in mapping.records:
        many = _list(scope, spec.each) if spec.each else [None]
        for item in many:
            inner = {**scope, "item": item}
            if not all(_present(_get(inner, w)) for w in spec.when) or any(
                _present(_get(inner, u)) for u in spec.unless
            ):
                continue
            if spec.by is not None:
                made: Any = f"{spec.name}:{digest(*(text_of(cells.get(c)) for c in spec.by))}"
            else:
                made = fill(spec.id, inner) if spec.id else f"{spec.name}:{row}"
            if not isinstance(made, str | int):
                raise RowProblem(spec.name, "has nothing to make its id of")
            made = str(made)
            if len(made) > 200:  # noqa: PLR2004 -- well below the length of an origin id
                made = f"{spec.name}:{digest(made)}"
            reference: Any = fill(spec.key, inner) if spec.key else {"origin": mapping.origin, "origin_id": made}
            if spec.each and reference not in scope["@"].setdefault(f"{spec.name}s", []):
                scope["@"][f"{spec.name}s"].append(reference)
            scope["@"][spec.name] = reference
            inner["@"] = scope["@"]
            yield Draft(spec.name, spec.resource, made, spec.shared, fill(spec.fields, inner))
