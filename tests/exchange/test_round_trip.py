"""Everything out, into an empty registry, and out again: the same but for what a registry itself makes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.core.records import Audience
from app.exchange.console import ImportOptions, run_export, run_import
from app.exchange.readers import ReadError
from tests.conftest import Api

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
