"""What was known on an earlier day, and that nobody learns from it what they may not see."""

from typing import Any

import asyncpg
import pytest

from app.statistics.known import KINDS, PARTS
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


async def a_registry(api: Api) -> None:
    """Record something for every dimension of every measure, and of most kinds of parts one that is hidden."""
    vera = (await make(api.editor, "persons", sex="female", groups=["journalist"], born="1980"))["id"]
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
        stage="verdict",
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


Answers = dict[tuple[str, str, str], Any]


async def everything_counted(api: Api, *roles: str, **more: str) -> Answers:
    """Return rows and total of every measure by every dimension, to each of these roles."""
    found = {}
    for name, measure in MEASURES.items():
        stock = {"at": "2024-01-09"} if measure.kind == "stock" else {}
        for dimension in measure.dimensions:
            for role in roles:
                answer = await ask(api, name, role, by=dimension, **stock, **more)
                for row in answer["rows"]:
                    row["list"] = None
                found[name, dimension, role] = answer["rows"], answer["total"]
                assert answer["rows"] or role != "editor" or more, (name, dimension)
    return found


async def test_every_measure_answers_of_the_present_what_the_tables_do(api: Api) -> None:
    await a_registry(api)
    now = await everything_counted(api, "public", "editor")
    assert await everything_counted(api, "public", "editor", known_at="2100-01-01") == now


CHANGED = """
UPDATE persons SET sex = 'male', groups = '{lawyer}', born_earliest = '1950-01-01', born_latest = '1950-12-31';
UPDATE events SET type = 'raid', date_earliest = '2020-05-05', date_latest = '2020-05-05', place_id = NULL;
UPDATE events SET facility_id = NULL;
UPDATE cases SET kind = 'administrative', stage = 'appeal', court_id = NULL, decided_earliest = NULL;
UPDATE statuses SET kind = 'in_custody', facility_id = NULL WHERE person_id IS NOT NULL;
UPDATE statutes SET article = '9', code = 'DD', key = 'XX-DD-9';
UPDATE organisations SET place_id = NULL;
UPDATE places SET parent_id = NULL;
DELETE FROM participants WHERE role = 'victim';
DELETE FROM citations;
DELETE FROM event_statutes;
DELETE FROM charges;
UPDATE sentences SET outcome = 'acquitted';
DELETE FROM sentence_components;
DELETE FROM case_judges;
DELETE FROM statuses WHERE organisation_id IS NOT NULL;
DELETE FROM events WHERE id = (SELECT min(id::text)::uuid FROM events);
"""
"""Everything that is counted by, otherwise than `a_registry` made it."""


async def test_what_was_counted_before_everything_changed_is_counted_again(api: Api, owner: asyncpg.Connection) -> None:
    await a_registry(api)
    before = await everything_counted(api, "public", "editor")
    await owner.execute("UPDATE changes SET at = '2024-02-01T12:00Z'")
    await owner.execute(CHANGED)
    assert await everything_counted(api, "public", "editor", known_at="2024-02-01") == before
    now = await everything_counted(api, "public")
    assert [k for k, found in now.items() if found == before[k] and found[0] and k[1] != "origin"] == []
    for name, measure in MEASURES.items():
        stock = {"at": "2024-01-09"} if measure.kind == "stock" else {"by": "type"}
        assert (await ask(api, name, "editor", known_at="2024-01-31", **stock))["rows"] == []


async def test_of_an_old_version_nothing_counts_that_is_hidden_today(api: Api, owner: asyncpg.Connection) -> None:
    """A source that is hidden now goes out of the old version, a component too; a person takes the event along."""
    await a_registry(api)
    hidden = await make(api.editor, "persons", sex="male")
    for person, level in ((hidden["id"], "public"), (None, "restricted")):
        who = {"person": person} if person else {"count": 7}
        await make(api.editor, "events", date="2024-01-05", participants=[{**who, "role": "victim", "level": level}])
    await owner.execute("UPDATE changes SET at = '2024-02-01T12:00Z'")
    day = {"known_at": "2024-02-01"}
    assert (await ask(api, "persons", **day))["total"]["value"] == 2 + 6
    assert {r["source"] for r in (await ask(api, "events", by="source", **day))["rows"]} > {"not_stated"}
    for table in ("events", "cases"):
        await owner.execute(f"UPDATE {table} SET confidence = 'low'")  # another version, of the same content
    await owner.execute("UPDATE sources SET level = 2; UPDATE sentence_components SET level = 2 WHERE kind = 'fine'")
    await owner.execute("UPDATE persons SET level = 2 WHERE id = $1", hidden["id"])
    for role, people, events, sources, fines in (
        ("public", 7, 4, 1, 0),
        ("partner", 7, 4, 1, 0),
        ("editor", 15, 5, 2, 1),
    ):
        assert (await ask(api, "persons", role, **day))["total"]["value"] == people
        assert (await ask(api, "events", role, **day))["total"]["value"] == events
        assert len((await ask(api, "events", role, by="source", **day))["rows"]) == sources
        assert len((await ask(api, "fines", role, by="unit", **day))["rows"]) == fines


async def test_whatever_a_record_or_a_part_may_name_is_looked_at(owner: asyncpg.Connection) -> None:
    """The columns that refer to records are written into `known_documents`; a new one must be too."""
    source = await owner.fetchval("SELECT prosrc FROM pg_proc WHERE proname = 'known_documents'")
    found = await owner.fetch(
        "SELECT conrelid::regclass::text AS table, attname::text AS column FROM pg_constraint c JOIN pg_attribute a "
        "ON a.attrelid = conrelid AND a.attnum = conkey[1] WHERE contype = 'f' "
        "AND conrelid = ANY ($1::text[]::regclass[]) AND confrelid = ANY ($2::text[]::regclass[])",
        [*KINDS, *PARTS],
        [*KINDS, "sources", "figures"],
    )
    owners = {(table, column) for table, of in PARTS.items() for _, column in of}
    owned = {"person_id", "place_id", "organisation_id", "statute_id", "figure_id", "cited_by_id"}
    owners |= {("citations", column) for column in owned}
    assert len(found) > len(owners)
    missing = [tuple(r) for r in found if tuple(r) not in owners and f"->> '{r['column']}'" not in source]
    assert missing == []


async def test_the_logins_cannot_raise_what_they_may_know(api: Api, owner: asyncpg.Connection) -> None:
    event = await make(api.editor, "events", date="2024-01-03", level="restricted")
    etag = event["etag"]
    await api.editor.patch(f"/v1/events/{event['id']}", json={"type": "raid"}, headers={"If-Match": etag})
    await recorded(owner, event, "2024-01-10", "2024-03-10")
    database = api.app.state.database
    sql = "SELECT count(*) FROM known_documents('event', '2024-02-01')"
    assert (await database.row("public", sql))[0] == 0
    assert (await database.row("editor", sql))[0] == 1
    for forbidden in (
        "SELECT known_ceiling()",
        "SELECT data FROM changes",
        "SET SESSION AUTHORIZATION chronika_editor",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await database.row("public", forbidden)
