"""What was known on an earlier day, and that nobody learns from it what they may not see."""

from typing import Any

import asyncpg
import pytest

from app.statistics.measures import MEASURES
from tests.conftest import Api
from tests.factories import make
from tests.statistics.test_rules import ask

pytestmark = pytest.mark.anyio

JANUARY = {"from_": "2024-01-01", "to": "2024-02-01", "type": "detention"}


async def recorded(owner: asyncpg.Connection, record: dict[str, Any], *days: str) -> None:
    """Date the versions of a record, the first first."""
    rows = await owner.fetch("SELECT id FROM changes WHERE record_id = $1 ORDER BY id", record["id"])
    for row, day in zip(rows, days, strict=True):
        await owner.execute("UPDATE changes SET at = $2::text::timestamptz WHERE id = $1", row["id"], f"{day}T12:00Z")


async def known(api: Api, day: str, role: str = "public", measure: str = "events", **params: Any) -> Any:
    return (await ask(api, measure, role, known_at=day, **{**JANUARY, **params}))["total"]["value"]


async def test_the_january_of_the_first_report_and_that_of_the_second(api: Api, owner: asyncpg.Connection) -> None:
    vera = await make(api.editor, "persons", sex="female")
    await recorded(owner, vera, "2024-01-01")
    sql = (
        "INSERT INTO events (type, date, date_earliest, date_latest, level, publication_ground, origin, origin_id) "
        "SELECT 'detention', d::text, d, d, 0, 'public_record', 'test', n::text FROM generate_series(1, $1) n, "
        "LATERAL (SELECT '2024-01-01'::date + n % 31) AS x (d) ON CONFLICT DO NOTHING"
    )
    await owner.execute(sql, 310)
    await owner.execute("UPDATE changes SET at = '2024-02-05T12:00Z' WHERE record_type = 'event'")
    await owner.execute(sql, 406)
    await owner.execute("UPDATE changes SET at = '2024-04-20T12:00Z' WHERE record_type = 'event' AND at > '2025-01-01'")
    assert await known(api, "2024-02-06") == 310
    assert await known(api, "2024-04-26") == 406
    assert await known(api, "2024-02-04") == 0
    assert (await ask(api, "events", **JANUARY))["total"]["value"] == 406
    found = await ask(api, "events", known_at="2024-02-06", by="month", **JANUARY)
    assert [(r["value"], r["list"]) for r in found["rows"]] == [(310, None)]
    assert found["known_at"] == "2024-02-06"


async def test_an_old_version_counts_as_it_stood_and_a_deleted_record_until_it_went(
    api: Api, owner: asyncpg.Connection
) -> None:
    event = await make(api.editor, "events", date="2024-01-05")
    url = f"/v1/events/{event['id']}"
    changed = await api.editor.patch(url, json={"date": "2024-02-05"}, headers={"If-Match": event["etag"]})
    await api.editor.delete(url, headers={"If-Match": changed.headers["etag"]})
    await recorded(owner, event, "2024-01-10", "2024-01-20", "2024-01-30")
    assert [await known(api, f"2024-01-{day:02}") for day in (9, 10, 19, 20, 30)] == [0, 1, 1, 0, 0]
    later = {"from_": "2024-02-01", "to": "2024-03-01"}
    assert [await known(api, f"2024-01-{day}", **later) for day in (10, 20, 29, 30)] == [0, 1, 1, 0]


async def test_what_is_hidden_now_is_hidden_in_the_past(api: Api, owner: asyncpg.Connection) -> None:
    vera = await make(api.editor, "persons", sex="female")
    event = await make(api.editor, "events", date="2024-01-05", participants=[{"person": vera["id"], "role": "victim"}])
    await recorded(owner, vera, "2024-01-10")
    await recorded(owner, event, "2024-01-10")
    assert await known(api, "2024-01-15") == 1
    assert await known(api, "2024-01-15", measure="persons", by="sex") == 1
    etag = (await api.editor.get(f"/v1/persons/{vera['id']}")).headers["etag"]
    await api.editor.patch(f"/v1/persons/{vera['id']}", json={"level": "partner"}, headers={"If-Match": etag})
    for measure in ("events", "persons"):
        assert await known(api, "2024-01-15", measure=measure) == 0
        assert await known(api, "2024-01-15", "partner", measure=measure) == 1


async def test_whom_a_record_once_named_hides_its_old_version_too(api: Api, owner: asyncpg.Connection) -> None:
    vera = await make(api.editor, "persons", sex="female")
    ivan = await make(api.editor, "persons", sex="male")
    event = await make(api.editor, "events", date="2024-01-05", participants=[{"person": vera["id"], "role": "victim"}])
    corrected = {"participants": [{"person": ivan["id"], "role": "victim"}]}
    await api.editor.patch(f"/v1/events/{event['id']}", json=corrected, headers={"If-Match": event["etag"]})
    for person in (vera, ivan):
        await recorded(owner, person, "2024-01-01")
    await recorded(owner, event, "2024-01-10", "2024-01-20")
    sexes = [await ask(api, "persons", by="sex", known_at=day, **JANUARY) for day in ("2024-01-15", "2024-01-25")]
    assert [[r["sex"] for r in s["rows"]] for s in sexes] == [["female"], ["male"]]
    await api.editor.patch(
        f"/v1/persons/{vera['id']}", json={"level": "restricted"}, headers={"If-Match": vera["etag"]}
    )
    assert [await known(api, f"2024-01-{d}") for d in (15, 25)] == [0, 1]
    assert [await known(api, f"2024-01-{d}", "editor") for d in (15, 25)] == [1, 1]


async def test_text_that_was_never_public_is_not_counted_from(api: Api, owner: asyncpg.Connection) -> None:
    """It was recorded as a raid while it was restricted, and published later as a detention."""
    event = await make(api.editor, "events", type="raid", date="2024-01-05", level="restricted")
    patch = {"type": "detention", "level": "public"}
    answer = await api.editor.patch(f"/v1/events/{event['id']}", json=patch, headers={"If-Match": event["etag"]})
    assert answer.status_code == 200, answer.text
    await recorded(owner, event, "2024-01-10", "2024-03-10")
    for day in ("2024-01-15", "2024-03-15"):
        assert await known(api, day, type="raid") == 0
        assert await known(api, day, type="detention") == 1
    assert await known(api, "2024-01-15", "editor", type="raid") == 1
    assert await known(api, "2024-01-05", type="detention") == 0


async def test_every_measure_answers_of_the_present_what_the_tables_do(api: Api) -> None:
    vera = (await make(api.editor, "persons", sex="female", groups=["journalist"]))["id"]
    statute = (await make(api.editor, "statutes", article="1", part="2"))["id"]
    land = (await make(api.editor, "places", kind="country", code="XX"))["id"]
    town = (await make(api.editor, "places", kind="town", parent=land))["id"]
    court = (await make(api.editor, "organisations", kind="court", place=town))["id"]
    source = [{"source": (await make(api.editor, "sources"))["id"]}]
    who = [
        {"person": vera, "role": "victim"},
        {"count": 3, "role": "victim"},
        {"organisation": court, "role": "listed"},
    ]
    common = {"place": town, "facility": court, "statutes": [statute], "citations": source, "participants": who}
    await make(api.editor, "events", date="2024-01-03", **common)
    await make(api.editor, "events", type="wanted_notice", date="2024-01", **common)
    await make(
        api.editor, "events", date="2024-01-03", **{**common, "participants": [{**who[0], "level": "restricted"}]}
    )
    components = [
        {"kind": "fine", "amount": "5", "unit": "USD"},
        {"kind": "administrative_arrest", "days": 5},
        {"kind": "imprisonment", "years": 1, "level": "restricted"},
    ]
    await make(
        api.editor,
        "cases",
        decided="2024-01-03",
        court=court,
        judges=[vera],
        citations=source,
        charges=[{"person": vera, "statute": statute, "status": "convicted", "date": "2024-01"}],
        sentences=[{"person": vera, "outcome": "convicted", "components": components}],
    )
    for subject in ({"person": vera}, {"organisation": court}):
        await make(
            api.editor, "statuses", kind="wanted", start="2024-01-01", facility=court, citations=source, **subject
        )
    for name, measure in MEASURES.items():
        for dimension in measure.dimensions:
            for role in ("public", "partner", "editor"):
                stock = {"at": "2024-01-09"} if measure.kind == "stock" else {}
                now = await ask(api, name, role, by=dimension, **stock)
                then = await ask(api, name, role, by=dimension, known_at="2100-01-01", **stock)
                for row in now["rows"]:
                    row["list"] = None
                assert then["rows"] == now["rows"], (name, dimension, role)
                assert then["total"] == now["total"]
                assert now["rows"] or role != "editor", (name, dimension)


async def test_the_logins_cannot_raise_what_they_may_know(api: Api) -> None:
    await make(api.editor, "events", date="2024-01-03", level="restricted")
    database = api.app.state.database
    sql = "SELECT count(*) FROM known_documents('event', 'infinity')"
    assert (await database.row("public", sql))[0] == 0
    assert (await database.row("editor", sql))[0] == 1
    for forbidden in (
        "SELECT known_document(NULL, 2::smallint)",
        "SELECT names_visible('{}', 2::smallint)",
        "SELECT known_parts('[]', 2::smallint)",
        "SELECT data FROM changes",
        "SET SESSION AUTHORIZATION chronika_editor",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.row("public", forbidden)
