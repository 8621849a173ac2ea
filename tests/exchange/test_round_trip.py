"""Everything out, into an empty registry, and out again: the same but for what a registry itself makes."""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin
from uuid import uuid4

import asyncpg
import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from app.core.edtf import DateIn
from app.core.records import Audience, PartIn
from app.core.refs import To
from app.exchange.console import ImportOptions, run_export, run_import
from app.exchange.queries import ORDER
from app.exchange.readers import ReadError
from tests.conftest import EMPTIED, Api
from tests.contract.valid_inputs import code_of, vocabulary_of
from tests.factories import MINIMAL, PUBLIC, make

pytestmark = pytest.mark.anyio

MADE_BY_THE_SERVER = {"version", "created_at", "updated_at"}


def content(directory: Path) -> dict[str, list[bytes]]:
    """Return the lines of an export without what the server makes; labels and levels are part of it."""
    found = {}
    for path in sorted(directory.iterdir()):
        *lines, trailer = path.read_bytes().splitlines()
        assert json.loads(trailer)["count"] == len(lines)
        records = [json.loads(line) for line in lines]
        found[path.name] = [
            json.dumps({k: v for k, v in r.items() if k not in MADE_BY_THE_SERVER}).encode() for r in records
        ]
    return found


async def out(api: Api, directory: Path) -> dict[str, list[bytes]]:
    await run_export(
        api.site.url,
        api.site.settings(),
        "all",
        form="ndjson",
        filters=[],
        output=directory,
        audience=Audience.EDITOR,
    )
    return content(directory)


async def back(api: Api, path: Path, **options: Any) -> Any:
    chosen = ImportOptions("chronika", report=path.parent / "report", **options)
    return await run_import(api.site.url, api.site.settings(), path, chosen)


async def test_export_import_export_gives_the_same(sample: Api, api: Api, tmp_path: Path) -> None:
    first = await out(sample, tmp_path / "first")
    outcome = await back(api, tmp_path / "first")
    assert outcome.rejected == 0, (tmp_path / "report").read_text()[:2000]
    assert sum(outcome.created.values()) == sum(len(lines) for lines in first.values()) > 400
    second = await out(api, tmp_path / "second")
    assert second == first
    again = await back(api, tmp_path / "first")
    assert (again.created, again.updated) == (Counter(), Counter())


async def test_an_export_that_was_cut_or_changed_is_refused(sample: Api, api: Api, tmp_path: Path) -> None:
    await out(sample, tmp_path / "first")
    path = tmp_path / "first" / "places.ndjson"
    whole = path.read_bytes()
    for broken in (whole[:-100], whole.replace(b"BY-", b"XX-", 1), b"".join(whole.splitlines(keepends=True)[1:])):
        path.write_bytes(broken)
        with pytest.raises(ReadError, match="cut short or was changed"):
            await back(api, path)


GROUP = {"count", "unit", "qualifier", "within"}
"""What only a counted group has."""


CANDIDATES = (
    'O\'Hara \\ "=1+1" \\n\t;, Ціханоўскі \U0001f98a\nsecond line',
    'O\'Hara \\ "=1+1" \\n;, Ціханоўскі \U0001f98a',
    *("https://example.org/a?b=%20#ё", "a" * 64, "Cyrl", "be-tarask", "2021-05", "2021-05-06", "XX", "BYN"),
    *("yes", "restricted", "consent", 3, "12.5", 0.25, True, str(uuid4())),
    *({"a": ["б", "=1"]}, ["be", "ru"], ["names"]),
)
"""Values that some field or other takes."""


def fitting(field: FieldInfo) -> Any:
    """Return a value that a plain field takes, the most troublesome that it does."""
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    for value in CANDIDATES:
        with contextlib.suppress(ValidationError):
            adapter.validate_json(json.dumps(value))
            return value
    pytest.fail(f"no value is known for {field}")


def filled(model: type[BaseModel], refs: dict[str, str]) -> list[dict[str, Any]]:
    """Return records or parts in which, taken together, every field has a value.

    A subject is either a person, an organisation or a counted group, and a time a day or a period: as many are made.
    """
    whole: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        outside, to = info.alias or name, next((m.table for m in info.metadata if isinstance(m, To)), None)
        many = get_origin(info.annotation) is list
        inner = next((a for a in get_args(info.annotation) if isinstance(a, type) and issubclass(a, PartIn)), None)
        if to is not None:
            whole[outside] = [refs[to]] if many else refs[to]
        elif inner is not None:
            whole[outside] = filled(inner, refs)
        elif vocabulary := vocabulary_of({"description": info.description or ""}):
            whole[outside] = [code_of(vocabulary)] if many else code_of(vocabulary)
        elif DateIn in (info.annotation, *get_args(info.annotation)):
            whole[outside] = {"edtf": "2021-05~", "printed": "у траўні", "inferred": True}
        elif outside == "within":
            whole[outside] = refs["participant"]
        elif outside not in {"id", "origin", "publication_ground"}:
            whole[outside] = fitting(info)
    ways: list[set[str]] = [set()]
    if "person" in whole and whole.keys() & {"organisation", "count"}:
        ways = [GROUP | {"organisation"}, GROUP | {"person"}, {"person", "organisation"}]
        ways = [w for w in ways if (whole.keys() & {"person", "organisation", "count"}) - w]
    if "at" in whole:
        ways = [{"at"}, {"from", "to"}]
    return [{k: v for k, v in whole.items() if k not in way} for way in ways]


def covered(model: type[BaseModel], values: list[Any]) -> Iterator[str]:
    """Name the fields, of the parts too, that have a value in none of the records."""
    for name, info in model.model_fields.items():
        outside = info.alias or name
        there = [v[outside] for v in values if v.get(outside) not in (None, [], {}, False)]
        if not there:
            yield f"{model.__name__}.{outside}"
        for part in get_args(info.annotation):
            if isinstance(part, type) and issubclass(part, PartIn):
                yield from covered(part, [item for some in there for item in some])


async def test_every_field_of_every_part_of_every_resource_comes_back(
    api: Api, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    refs = {}
    for name in (r.name for r in ORDER):
        refs[name] = (await make(api.editor, name, **({"article": "7"} if name == "statutes" else {})))["id"]
    group = {"role": "victim", "count": 3, "qualifier": "exact"}
    refs["participant"] = (await make(api.editor, "events", participants=[group]))["participants"][0]["id"]
    for resource in ORDER:
        assert resource.create is not None
        for n, record in enumerate(filled(resource.create, refs)):
            body = {**MINIMAL[resource.name], **PUBLIC, **record, "origin": "local", "origin_id": f"max {n}"}
            answer = await api.editor.post(f"/v1/{resource.name}", json=body)
            assert answer.status_code == 201, (resource.name, answer.text, body)
    first = await out(api, tmp_path / "first")
    for resource in ORDER:
        assert resource.create is not None
        records = [json.loads(line) for line in first[f"{resource.name}.ndjson"]]
        assert list(covered(resource.create, records)) == []
    await owner.execute(f"TRUNCATE {EMPTIED} CASCADE")
    outcome = await back(api, tmp_path / "first")
    assert outcome.rejected == 0, (tmp_path / "report").read_text()[:2000]
    assert await out(api, tmp_path / "second") == first
