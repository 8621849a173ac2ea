"""Exports: the list's very records, in one stream, for whoever may see them."""

import asyncio
import csv
import hashlib
import io
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from starlette.requests import Request

from app.core.access import Caller
from app.core.records import Audience
from app.core.servers import STREAMS
from app.core.streams import LONGEST_S
from app.exchange.export import export_records
from app.exchange.queries import EXPORTABLE
from tests.conftest import Api
from tests.exchange.data import data
from tests.factories import make

pytestmark = pytest.mark.anyio

RESOURCES = (
    "persons",
    "cases",
    "statutes",
    "events",
    "organisations",
    "places",
    "statuses",
    "sources",
    "figures",
    "charges",
    "sentences",
)
NASTY = (
    'O\'Hara \\ "quoted" \\n \\\\ ,;\tx',
    "=SUM(A1:A9)",
    "+375 29",
    "-1",
    "@cmd",
    "'=already",
    "Ціханоўскі \U0001f98a",
)

RUNNING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%'"


def opened(text: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the records and the trailer of an NDJSON export whose trailer is right."""
    assert text.endswith("\n")
    *lines, last = text.removesuffix("\n").split("\n")
    trailer = json.loads(last)
    body = "".join(f"{line}\n" for line in lines).encode()
    assert trailer == {"end": True, "count": len(lines), "sha256": hashlib.sha256(body).hexdigest()}
    return [json.loads(line) for line in lines], trailer


async def listed(client: Any, resource: str, **filters: Any) -> list[dict[str, Any]]:
    """Return all records of a list, page by page."""
    url: str | None = f"/v1/{resource}"
    parameters: Any = {"sort": "id", "limit": 200, **filters}
    found = []
    while url:
        page = (await client.get(url, params=parameters)).json()
        found += page["items"]
        url, parameters = page["next"], None
    return found


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("role", ["public", "editor"])
async def test_an_export_is_the_list_in_one_stream(sample: Api, resource: str, role: str) -> None:
    client = getattr(sample, role)
    answer = await client.get(f"/v1/{resource}/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.headers["content-disposition"] == f'attachment; filename="{resource}.ndjson"'
    records, _ = opened(answer.text)
    assert records == await listed(client, resource)
    assert records or role == "public"


async def test_filters_select_what_they_select_in_the_list(sample: Api) -> None:
    filters = {"type": ["detention", "raid"], "from": "2024-01-01", "to": "2024-03-01"}
    records, _ = opened((await sample.editor.get("/v1/events/export", params=filters)).text)
    assert records == await listed(sample.editor, "events", **filters)
    table = await sample.editor.get("/v1/events/export", params={**filters, "format": "csv"})
    assert int(table.headers["record-count"]) == len(records)
    every, _ = opened((await sample.editor.get("/v1/events/export")).text)
    assert 0 < len(records) < len(every)


async def test_the_format_is_the_one_that_accept_names_where_none_is_asked_for(sample: Api) -> None:
    async def kind(accept: str, **asked: str) -> str:
        answer = await sample.public.get("/v1/places/export", params=asked, headers={"Accept": accept})
        assert answer.status_code == 200
        return str(answer.headers["content-type"].partition(";")[0])

    assert await kind("text/csv") == await kind("image/png, text/CSV; q=0.9, */*;q=0.1") == "text/csv"
    assert await kind("*/*") == await kind("text/html") == await kind("application/x-ndjson") == "application/x-ndjson"
    assert await kind("text/csv", format="ndjson") == "application/x-ndjson"
    assert await kind("application/x-ndjson", format="csv") == "text/csv"


@pytest.mark.parametrize("parameters", ["limit=10", "cursor=x", "sort=id", "colour=red", "format=xlsx", "from=soon"])
async def test_what_an_export_does_not_take_is_refused(sample: Api, parameters: str) -> None:
    answer = await sample.public.get(f"/v1/events/export?{parameters}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_hidden_records_and_parts_are_absent(api: Api) -> None:
    seen = await make(api.editor, "persons", names=[{"text": "Seen"}, {"text": "Canary", "level": "restricted"}])
    await make(api.editor, "persons", names=[{"text": "Canary"}], level="restricted")
    for form in ("ndjson", "csv", "ftm"):
        text = (await api.public.get("/v1/persons/export", params={"format": form})).text
        assert seen["id"] in text
        assert "Canary" not in text
        assert (await api.editor.get("/v1/persons/export", params={"format": form})).text.count("Canary") >= 2


async def test_texts_survive_as_they_are_in_ndjson_and_guarded_in_csv(api: Api) -> None:
    for n, text in enumerate(NASTY):
        names = [{"text": text.replace("\t", " ")}]
        await make(api.editor, "persons", names=names, summary=f"{text}\nsecond line", origin_id=str(n))
    records, _ = opened((await api.public.get("/v1/persons/export")).text)
    assert {r["summary"] for r in records} == {f"{t}\nsecond line" for t in NASTY}

    answer = await api.public.get("/v1/persons/export", params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.text.count("\r\n") == len(NASTY) + 1
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    for row in rows:
        text = NASTY[int(row["origin_id"])]
        expected = f"'{text}" if text.lstrip("'")[0] in "=+-@" else text
        assert row["summary"] == f"{expected}\nsecond line"
        assert row["called"] == expected.replace("\t", " ")
        assert json.loads(row["names"])[0]["text"] == text.replace("\t", " ")
    formulas = [cell for row in rows for cell in row.values() if cell[:1] in tuple("=+-@\t\r")]
    assert formulas == []


async def test_payloads_for_spreadsheets_are_harmless_in_csv_and_whole_in_ndjson(api: Api) -> None:
    payloads = data("csv-injection/csv-payload.txt").read_text(encoding="utf-8").split("\n")
    payloads = [p for p in (line.strip() for line in payloads) if p]
    for n, text in enumerate(payloads):
        await make(api.editor, "persons", names=[{"text": text}], summary=text, origin_id=str(n))
    records, _ = opened((await api.public.get("/v1/persons/export")).text)
    assert {int(r["origin_id"]): r["summary"] for r in records} == dict(enumerate(payloads))
    answer = await api.public.get("/v1/persons/export", params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert len(rows) == len(payloads) > 4
    assert [cell for row in rows for cell in row.values() if cell[:1] in tuple("=+-@\t\r")] == []
    assert {row["summary"].removeprefix("'") for row in rows} == set(payloads)


@pytest.mark.parametrize("resource", RESOURCES)
async def test_csv_has_a_row_a_record_and_the_same_columns_in_each(sample: Api, resource: str) -> None:
    records, _ = opened((await sample.editor.get(f"/v1/{resource}/export")).text)
    answer = await sample.editor.get(f"/v1/{resource}/export", params={"format": "csv"})
    header, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert int(answer.headers["record-count"]) == len(rows)
    assert len(header) == len(set(header))
    assert [r[header.index("id")] for r in rows] == [r["id"] for r in records]
    assert {len(r) for r in rows} <= {len(header)}
    for row, record in zip(rows, records, strict=True):
        for name, value in record.items():
            cell = row[header.index(name)] if name in header else None
            if isinstance(value, dict) and "edtf" in value:
                assert cell == value["edtf"]
            elif isinstance(value, dict) and "label" in value:
                assert row[header.index(f"{name}_id")] == value["id"]
            elif isinstance(value, list) and value and isinstance(value[0], dict) and "level" in value[0]:
                assert json.loads(cell or "") == value
            elif value is None:
                assert cell == ""


async def test_a_filter_value_cannot_become_sql(api: Api) -> None:
    await make(api.editor, "persons")
    for value in ("'; SELECT pg_sleep(1); --", "\\'", "{a,b}", '"', "$1", "%s"):
        answer = await api.public.get("/v1/persons/export", params={"q": value, "affiliation": [value, "x'y"]})
        assert opened(answer.text)[0] == []


async def test_an_empty_export_is_whole(api: Api) -> None:
    records, trailer = opened((await api.public.get("/v1/cases/export")).text)
    assert (records, trailer["count"]) == ([], 0)
    assert (await api.public.get("/v1/cases/export?format=ftm")).text == ""
    assert (await api.public.get("/v1/cases/export?format=csv")).text.count("\r\n") == 1


async def test_an_export_may_take_longer_than_a_page_and_only_itself(sample: Api) -> None:
    database = sample.app.state.database
    async with database.stream(Audience.PUBLIC, LONGEST_S) as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "1h"
        assert await connection.fetchval("SHOW transaction_read_only") == "on"
    row = await database.row(Audience.PUBLIC, "SHOW statement_timeout")
    assert row[0] == "10s"


async def test_exports_leave_connections_for_lists(alone: Api) -> None:
    database = alone.app.state.database
    async with AsyncExitStack() as others:
        for _ in range(STREAMS):
            await others.enter_async_context(database.stream(Audience.PUBLIC))
        refused = await alone.public.get("/v1/places/export")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert (await alone.public.get("/v1/places")).status_code == 200
    assert (await alone.public.get("/v1/places/export")).status_code == 200


async def test_a_client_that_goes_away_ends_its_export(sample: Api, owner: Any) -> None:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "app": sample.app}
    caller = Caller(Request(scope), sample.app.state.database, Audience.EDITOR)
    response = await export_records(EXPORTABLE["events"][0], EXPORTABLE["events"][1](), caller)
    gone = asyncio.Event()

    async def receive() -> dict[str, str]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            gone.set()
            await asyncio.sleep(30)  # a client that takes nothing more

    async with asyncio.timeout(5):
        await response(scope, receive, send)
    async with asyncio.timeout(5):
        while await owner.fetchval(RUNNING):  # noqa: ASYNC110 -- the event is in another process
            await asyncio.sleep(0.05)
