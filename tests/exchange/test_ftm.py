"""FollowTheMoney: what its own library reads is what we wrote; its validator drops bad values without a word."""

import json
from typing import Any

import pytest

from app.exchange import ftm
from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio

model = pytest.importorskip("followthemoney", reason="pip install followthemoney to run this test").model


async def entities(client: Any, resource: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/{resource}/export", params={"format": "ftm"})
    assert answer.status_code == 200
    own = {"persons": "Person", "organisations": "Organization", "cases": "CourtCase", "events": "Event"}[resource]
    assert answer.text.count(f'"schema": "{own}"') == int(answer.headers["record-count"])
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("resource", ["persons", "organisations", "cases", "events"])
async def test_the_library_reads_all_that_was_written(sample: Api, resource: str) -> None:
    written = await entities(sample.editor, resource)
    assert written
    for entity in written:
        read = model.get_proxy(entity, cleaned=False)
        there = {n: sorted(read.get(n)) for n in entity["properties"]}
        assert there == {n: sorted(v) for n, v in entity["properties"].items()}, entity["schema"]
        assert read.id == entity["id"]


async def test_the_ties_between_entities_hold(sample: Api) -> None:
    written = {r: await entities(sample.editor, r) for r in ("persons", "organisations", "cases", "events")}
    known = {e["id"]: e["schema"] for some in written.values() for e in some}
    parties = [e for e in written["cases"] if e["schema"] == "CourtCaseParty"]
    assert parties
    for entity in parties:
        assert known[entity["properties"]["case"][0]] == "CourtCase"
        assert known[entity["properties"]["party"][0]] == "Person"
    for entity in written["events"]:
        assert {known[i] for i in entity["properties"].get("involved", [])} <= {"Person", "Organization"}


async def test_dates_are_never_made_more_certain(api: Api) -> None:
    for born, expected in (
        ("1978-08-18", ["1978-08-18"]),
        ("1978-08", ["1978-08"]),
        ("1978~", None),
        ("1978/1979", None),
    ):
        person = await make(api.editor, "persons", born=born)
        entity = next(e for e in await entities(api.public, "persons") if e["id"] == person["id"])
        assert entity["properties"].get("birthDate") == expected


def test_lines_are_read_in_pieces_of_any_size() -> None:
    record = {"id": "1", "names": [{"text": "Ё\\n", "kind": "primary"}], "sex": None, "born": None, "died": None}
    line = (
        json.dumps({**record, "groups": [], "summary": None, "affiliations": []}, ensure_ascii=False).encode() + b"\n"
    )
    whole = ftm.Lines("persons")(line * 3)
    for size in (1, 2, 7, 100):
        lines = ftm.Lines("persons")
        data = line * 3
        assert b"".join(lines(data[n : n + size]) for n in range(0, len(data), size)) == whole
        assert lines.count == 3
