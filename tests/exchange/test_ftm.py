"""FollowTheMoney: what its own library reads is what we wrote; its validator drops bad values without a word."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.exchange import ftm
from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio

RESOURCES = ("persons", "organisations", "cases", "events")
LIBRARY = Path(__file__).parents[2] / ".venv" / "ftm" / "bin" / "python"
"""An interpreter of its own for the library, which does not get on with ours; CONTRIBUTING.md tells how it is made."""


async def entities(client: Any, resource: str) -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/{resource}/export", params={"format": "ftm"})
    assert answer.status_code == 200
    own = {"persons": "Person", "organisations": "Organization", "cases": "CourtCase", "events": "Event"}[resource]
    assert answer.text.count(f'"schema": "{own}"') == int(answer.headers["record-count"])
    return [json.loads(line) for line in answer.text.splitlines()]


def read(entities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return entities as the library read them, or skip the test where there is no library."""
    if not LIBRARY.exists():
        pytest.skip("FollowTheMoney's library has no environment; CONTRIBUTING.md, Dependencies, tells how to make it")
    lines = "".join(f"{json.dumps(e)}\n" for e in entities)
    script = Path(__file__).with_name("ftm_reader.py")
    done = subprocess.run([LIBRARY, script], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def plain(entity: dict[str, Any]) -> dict[str, Any]:
    """Return what an entity says, without an order in which it says it."""
    properties = {n: sorted(v) for n, v in entity["properties"].items()}
    return {"id": entity["id"], "schema": entity["schema"], "properties": properties}


async def test_the_library_reads_all_that_was_written(sample: Api) -> None:
    written = [e for resource in RESOURCES for e in await entities(sample.editor, resource)]
    assert {e["schema"] for e in written} == {
        "Person", "Membership", "Organization", "CourtCase", "CourtCaseParty", "Event",
    }  # fmt: skip
    assert [plain(e) for e in read(written)] == [plain(e) for e in written]


async def test_the_library_reads_each_value_of_a_vocabulary_and_each_form_of_a_date(api: Api) -> None:
    """Beyond the sample: it knows few words for a sex and few forms of an address, and drops all others."""
    codes = (await api.public.get("/v1/vocabularies/sex")).json()["terms"]
    dates = ("2021", "2021-05", "2021-05-06", "2021-05/2021-06", "2021~", "2021-22", "2021-XX", "../2021-01")
    for code in codes:
        await make(api.editor, "persons", sex=code["code"], names=[{"text": "Ё =1"}, {"text": "ё", "kind": "former"}])
    for date in dates:
        await make(api.editor, "persons", born=date, died=date)
        await make(api.editor, "events", date=date)
        await make(api.editor, "cases", opened=date, decided=date, number="№ 1-2/3")
    for address in (
        "https://example.org",
        "http://example.org/a?b=c#d",
        "https://приклад.бел/в",
        "https://example.org/%20",
    ):
        await make(api.editor, "organisations", website=address)
    written = [e for resource in RESOURCES for e in await entities(api.editor, resource)]
    assert len(written) == len(codes) + 3 * len(dates) + 4
    assert [plain(e) for e in read(written)] == [plain(e) for e in written]


async def test_the_ties_between_entities_hold(sample: Api) -> None:
    written = {r: await entities(sample.editor, r) for r in RESOURCES}
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
