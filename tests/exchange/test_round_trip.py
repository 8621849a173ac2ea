"""Everything out, into an empty registry, and out again: the same but for what a registry itself makes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.core.records import Audience
from app.exchange.console import ImportOptions, run_export, run_import
from app.exchange.readers import ReadError
from tests.conftest import EMPTIED, Api
from tests.factories import make

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


async def test_what_the_sample_leaves_empty_comes_back_too(api: Api, owner: asyncpg.Connection, tmp_path: Path) -> None:
    """Fields that no record of the sample has; together with it, everything that a record can hold."""
    source = await make(
        api.editor,
        "sources",
        url="https://example.org/a",
        archived_url="https://archive.example.org/a",
        sha256="0" * 64,
        reliability="reliable",
        covers="2020-08/2020-12",
        retrieved="2024-01-02",
        modified="2024-01-01",
    )
    told = {
        "source": {"id": source["id"]},
        "page": "12",
        "quote": "words",
        "fields": ["names"],
        "value": {"a": 1},
    }
    place = await make(api.editor, "places", confidence="probable", citations=[told])
    court = await make(
        api.editor,
        "organisations",
        website="https://example.org",
        founded="1990~",
        dissolved="2021?",
        place={"id": place["id"]},
        names=[{"text": "Court", "source": {"id": source["id"]}}],
    )
    below = await make(api.editor, "organisations", parent={"id": court["id"]}, names=[{"text": "Chamber"}])
    person = await make(
        api.editor,
        "persons",
        names=[{"text": "Vera Example", "source": {"id": source["id"]}, "level": "restricted"}, {"text": "Vera"}],
        affiliations=[{"organisation": {"id": below["id"]}, "role": "member", "from": "2019", "to": "2020-05"}],
        citations=[told, {**told, "preferred": True}],
    )
    old = await make(api.editor, "statutes", code="CC", article="130", valid_from="2000", valid_to="2021-06-18")
    new = await make(api.editor, "statutes", code="CC", article="342")
    upper = await make(api.editor, "cases", number="12-3")
    who = {"id": person["id"]}
    charge = {"person": who, "status": "charged", "statute": {"id": new["id"]}, "date": "2021-01"}
    fine = {"kind": "fine", "amount": "12.50", "unit": "BYN", "converted_amount": "5", "converted_unit": "USD"}
    await make(
        api.editor,
        "cases",
        parent={"id": upper["id"]},
        judges=[who],
        charges=[charge | {"requalified_from": {"id": old["id"]}, "counts": 2, "allegation": "words"}],
        sentences=[{"person": who, "outcome": "convicted", "components": [fine | {"converted_on": "2021-02-03"}]}],
    )
    base = await make(api.editor, "figures")
    await make(api.editor, "figures", base={"id": base["id"]}, citations=[told])
    first = await out(api, tmp_path / "first")
    await owner.execute(f"TRUNCATE {EMPTIED} CASCADE")
    outcome = await back(api, tmp_path / "first")
    assert outcome.rejected == 0, (tmp_path / "report").read_text()[:2000]
    assert await out(api, tmp_path / "second") == first
