"""Events: who took part, counted groups in their units, and several events of one incident."""

from typing import Any

import pytest

from app.core import pages
from app.core.records import Audience
from app.events.queries import EVENTS, EventQuery
from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio

INCIDENT = "1c8ad5a4-7c0f-4f3c-9c51-6a3a6d1c7f10"


@pytest.mark.parametrize(
    ("participant", "status"),
    [
        ({"role": "victim"}, 422),
        ({"role": "victim", "qualifier": "unknown"}, 422),
        ({"role": "victim", "label": "some of the people raided", "qualifier": "unknown"}, 201),
        ({"role": "victim", "count": 200, "qualifier": "more_than"}, 201),
        ({"role": "victim", "count": 0}, 422),
        ({"role": "victim", "count": "200"}, 422),
        ({"role": "listed", "count": 107, "unit": "decisions"}, 201),
        ({"role": "listed", "count": 107, "unit": "nonsense"}, 422),
        ({"role": "no_such_role", "count": 1}, 422),
    ],
)
async def test_a_participant_is_somebody_or_a_counted_group(api: Api, participant: dict[str, Any], status: int) -> None:
    answer = await api.editor.post("/v1/events", json={"type": "raid", "participants": [participant]})
    assert answer.status_code == status, answer.text


async def test_a_participant_is_one_of_the_three(api: Api) -> None:
    person, organisation = await make(api.editor, "persons"), await make(api.editor, "organisations")
    both = {"role": "victim", "person": person["id"], "organisation": organisation["id"]}
    assert (await api.editor.post("/v1/events", json={"type": "raid", "participants": [both]})).status_code == 422


async def test_a_count_of_something_else_than_persons_says_so(api: Api) -> None:
    groups = [{"role": "listed", "count": 107, "unit": "decisions"}, {"role": "victim", "count": 3}]
    event = await make(api.editor, "events", participants=groups)
    assert [(p["count"], p["unit"]) for p in event["participants"]] == [(107, "decisions"), (3, None)]


async def test_a_group_may_be_within_a_group_of_another_event(api: Api) -> None:
    whole = await make(api.editor, "events", participants=[{"role": "victim", "count": 200}])
    group = whole["participants"][0]["id"]
    part = await make(api.editor, "events", participants=[{"role": "victim", "count": 67, "within": group}])
    assert part["participants"][0]["within"] == group


async def test_events_of_one_incident_are_found_together(api: Api) -> None:
    for kind in ("raid", "interrogation", "detention"):
        await make(api.editor, "events", type=kind, incident=INCIDENT)
    await make(api.editor, "events")
    listed = (await api.public.get(f"/v1/events?incident={INCIDENT}&sort=type")).json()["items"]
    assert [e["type"] for e in listed] == ["detention", "interrogation", "raid"]


async def test_an_undated_event_is_listed_and_never_within_a_period(api: Api) -> None:
    undated = await make(api.editor, "events")
    assert [e["id"] for e in (await api.public.get("/v1/events")).json()["items"]] == [undated["id"]]
    for match in ("overlap", "earliest", "within"):
        answer = await api.public.get(f"/v1/events?from=1900-01-01&to=2100-01-01&date_match={match}")
        assert answer.json()["items"] == []


async def test_a_page_begins_within_the_index_under_every_policy(api: Api) -> None:
    """A condition that row-level security takes for leaky would be tried on every event up to where the page begins."""
    await make(api.editor, "events", date="2024-01-31")
    query = EventQuery(limit=50)
    for audience in (Audience.PUBLIC, Audience.PARTNER, Audience.EDITOR):
        order = pages.order_of(EVENTS, None, audience, query.used())
        statement = pages.list_statement(
            EVENTS, EventQuery, audience, query.used(), order, resumed=True, include=frozenset(), only=None
        )
        values = {**query.values(), "limit": 51, "after_0": "2024-01-01", "after_1": INCIDENT}
        pool = await api.app.state.database.pool(audience)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
            plan = await connection.fetch(f"EXPLAIN {statement.sql}", *statement.arguments(values))
        lines = [row[0].strip() for row in plan]
        scan = next(n for n, line in enumerate(lines) if "using events_listed" in line)
        assert lines[scan + 1].startswith("Index Cond:"), lines[scan : scan + 3]
