"""Loads a mapping, and refuses one that cannot do what it says: a name of nothing, a value that nothing uses."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.exchange.mapping import PLACE, Mapping, MappingError, RecordSpec, ValueSpec

SHIPPED = files("app.exchange") / "mappings"

BUILT_IN = frozenset({"row", "row_uuid"})
"""What every row has besides its values; `item` is there inside of `each`."""


def shipped_names() -> list[str]:
    """Name the mappings that come with the program."""
    return sorted(f.name.removesuffix(".toml") for f in SHIPPED.iterdir() if f.name.endswith(".toml"))


def load(name: str) -> Mapping:
    """Return a mapping by the name of a shipped one or the path of a file; raises `MappingError`."""
    try:
        found = Mapping.model_validate(_read(name, ()))
        _check(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise MappingError(f"{name}: {'.'.join(str(p) for p in first['loc'])}: {first['msg']}") from None
    except _WrongError as error:
        raise MappingError(f"{name}: {error}") from None
    return found


def _read(name: str, extending: tuple[Path, ...]) -> dict[str, Any]:
    """Return the TOML of a shipped mapping or of a file; `extends` names another, which may be a file beside it."""
    shipped = SHIPPED / f"{name}.toml"
    path = Path(name)
    try:
        if re.fullmatch(r"[a-z0-9-]+", name) and shipped.is_file():
            data = tomllib.loads(shipped.read_text(encoding="utf-8"))
        elif path.is_file():
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        else:
            raise MappingError(f"there is no mapping {name!r}; shipped are: {', '.join(shipped_names())}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(f"{name} is not TOML: {error}") from None
    base = data.pop("extends", None)
    if not base:
        return data
    if path.resolve() in extending:
        raise MappingError(f"{name} extends itself")
    beside = path.parent / str(base)
    base = beside if beside.is_file() else base
    merged: dict[str, Any] = _merge(_read(str(base), (*extending, path.resolve())), data)
    return merged


def _merge(base: Any, more: Any) -> Any:
    if isinstance(base, dict) and isinstance(more, dict):
        return {
            k: _merge(base[k], more[k]) if k in base and k in more else {**base, **more}[k] for k in {**base, **more}
        }
    return more


class _WrongError(Exception):
    """What is wrong with a mapping, without its name."""


def _check(mapping: Mapping) -> None:
    if mapping.encoding is not None:
        try:
            "".encode(mapping.encoding)
        except (LookupError, ValueError):
            raise _WrongError(f"there is no encoding of text {mapping.encoding!r}") from None
    if mapping.delimiter is not None and (len(mapping.delimiter) != 1 or mapping.delimiter in '"\r\n'):
        raise _WrongError("delimiter is one character, and neither a quote nor a line break")
    for name, spec in mapping.values.items():
        if name in {*BUILT_IN, "item"} or name.startswith("@"):
            raise _WrongError(f"value {name}: the name has a meaning of its own; take another, with `column`")
        _check_value(f"value {name}", spec, mapping)
    names = _Names({name: _shape(spec, cell=True) for name, spec in mapping.values.items()})
    for record in mapping.records:
        names.check(record)
    left_out = {*mapping.ignore}
    unused = [
        name
        for name, spec in mapping.values.items()
        if name not in names.used and not left_out.issuperset(spec.columns or [spec.column or name])
    ]
    if unused:
        raise _WrongError(f"no record uses the value {', '.join(unused)}; use it, or `ignore` its column")


# --- values -------------------------------------------------------------------------------------------


def _check_value(where: str, spec: ValueSpec, mapping: Mapping) -> None:
    compiled = {name: _compiled(f"{where}: {name}", getattr(spec, name)) for name in ("find", "split", "pattern")}
    if compiled["find"].groups > 1:
        raise _WrongError(f"{where}: find has one group at most; make the others (?:…)")
    if spec.parts and compiled["pattern"].groupindex:
        raise _WrongError(f"{where}: has parts already, by the names in its pattern")
    for pattern, by in spec.replace:
        try:
            _compiled(f"{where}: replace", pattern).sub(by, "")
        except (re.error, IndexError) as error:
            raise _WrongError(f"{where}: replace: {by!r} cannot be put in: {error}") from None
    if spec.table is not None and spec.table not in mapping.tables:
        raise _WrongError(f"{where}: there is no table {spec.table}")
    for form in spec.date or []:
        if form != "edtf" and not re.search("%[YyGcx]", form):
            raise _WrongError(f"{where}: a date of the form {form!r} has no year")
    for name, part in spec.parts.items():
        if part.column or part.columns:
            raise _WrongError(f"{where}: part {name} is of the same text; it has no column of its own")
        _check_value(f"{where}: part {name}", part, mapping)


def _compiled(where: str, pattern: str | None) -> re.Pattern[str]:
    try:
        return re.compile(pattern or "")
    except (re.error, OverflowError, RecursionError) as error:
        raise _WrongError(f"{where}: the regular expression is wrong: {error}") from None


# --- names --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shape:
    """What a value is: a text or number unless it has parts or is a list."""

    parts: "dict[str, _Shape]" = field(default_factory=dict)
    many: bool = False
    perhaps: bool = False
    """Whether it is a list where a row of JSON has one."""
    record: bool = False

    @property
    def plain(self) -> bool:
        """Tell whether it can stand inside of a text."""
        return not (self.parts or self.many or self.record)


def _shape(spec: ValueSpec, *, cell: bool = False) -> _Shape:
    groups = re.compile(spec.pattern or "").groupindex
    parts = {g: _Shape() for g in groups} or {n: _shape(s) for n, s in spec.parts.items()}
    return _Shape(parts, spec.find is not None or spec.split is not None, cell and bool(spec.parts))


@dataclass
class _Names:
    """Follows every name in the records of a mapping to the value or earlier record that it stands for."""

    values: dict[str, _Shape]
    used: set[str] = field(default_factory=set)
    records: dict[str, _Shape] = field(default_factory=dict)
    """Records so far, and the lists of those with `each`, by name."""

    def check(self, record: RecordSpec) -> None:
        """Check one record, after those before it."""
        where = f"record {record.name}"
        item = self._each(record.each, None, where) if record.each else None
        if record.each and not record.id:
            raise _WrongError(f"{where}: with `each` it needs an `id`, or all would be one")
        for path in (*record.when, *record.unless):
            self._found(path, item, where)
        for template in (record.id, record.key, record.fields):
            self._template(template, item, where)
        made = {record.name: _Shape(record=True)}
        if record.each:
            made[f"{record.name}s"] = _Shape(record=True, many=True)
        for name, shape in made.items():
            if self.records.setdefault(name, shape) != shape:
                raise _WrongError(f"{where}: @{name} would be one record and a list of records; rename one")

    def _found(self, path: str, item: _Shape | None, where: str) -> _Shape:
        first, *rest = path.removeprefix("@").split(".")
        if path.startswith("@"):
            shape, kind = self.records.get(first), "earlier record"
        elif first == "item":
            shape, kind = item, "`each` here for"
        else:
            shape, kind = _Shape() if first in BUILT_IN else self.values.get(first), "value"
            self.used.add(first)
        if shape is None:
            raise _WrongError(f"{where}: there is no {kind} {path!r}")
        for step in rest:
            if shape.many:
                raise _WrongError(f"{where}: {path!r}: what has the part {step!r} is a list; take `each` of it")
            if step not in shape.parts:
                raise _WrongError(f"{where}: {path!r}: there is no part {step!r}")
            shape = shape.parts[step]
        return shape

    def _each(self, path: str, item: _Shape | None, where: str) -> _Shape:
        shape = self._found(path, item, where)
        if not (shape.many or shape.perhaps):
            raise _WrongError(f"{where}: each {path!r}: is no list")
        return _Shape(shape.parts, record=shape.record)

    def _template(self, template: Any, item: _Shape | None, where: str) -> None:
        if isinstance(template, str):
            self._text(template, item, where)
        elif isinstance(template, list):
            for part in template:
                self._template(*self._item(part, item, where), where)
        elif isinstance(template, dict):
            for name, part in template.items():
                self._template(part, item, f"{where}.{name}")

    def _item(self, part: Any, item: _Shape | None, where: str) -> tuple[Any, _Shape | None]:
        """Return what of an item of a list is filled, and what `item` is in it."""
        if not isinstance(part, dict):
            return part, item
        for path in _paths(part, "each", where):
            item = self._each(path, item, where)
        for path in (*_paths(part, "when", where), *_paths(part, "unless", where)):
            self._found(path, item, where)
        return {k: v for k, v in part.items() if k not in {"each", "when", "unless"}}, item

    def _text(self, template: str, item: _Shape | None, where: str) -> None:
        if template.startswith(("$", "@")):
            self._found(template.removeprefix("$"), item, where)
            return
        for mark, name in PLACE.findall(template):
            if not self._found(name, item, where).plain and not mark:
                raise _WrongError(f"{where}: {{{name}}} is no text or number that could stand in a text")


def _paths(part: dict[str, Any], key: str, where: str) -> Iterator[str]:
    if key in part:
        if not isinstance(part[key], str):
            raise _WrongError(f"{where}: {key} of an item names one value")
        yield part[key]
