"""Organisations: named or not, within one another, and what they were at a time."""

import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


async def test_an_organisation_may_have_no_name(api: Api) -> None:
    unnamed = await make(api.editor, "organisations", kind="court", names=[])
    event = await make(api.editor, "events", facility=unnamed["id"])
    assert event["facility"] == {"id": unnamed["id"], "label": None, "key": None}


async def test_no_organisation_is_part_of_itself(api: Api) -> None:
    keeper = await make(api.editor, "organisations")
    chapter = await make(api.editor, "organisations", kind="ngo_branch", parent=keeper["id"])
    url = f"/v1/organisations/{keeper['id']}"
    circle = await api.editor.patch(url, json={"parent": chapter["id"]}, headers={"If-Match": "*"})
    assert circle.status_code == 422


async def test_its_statuses_and_events_are_embedded(api: Api) -> None:
    medium = await make(api.editor, "organisations", kind="media_outlet")
    blocked = await make(api.editor, "statuses", kind="blocked", organisation=medium["id"], start="2024-01")
    event = await make(
        api.editor, "events", type="website_blocked", participants=[{"organisation": medium["id"], "role": "victim"}]
    )
    shown = (await api.public.get(f"/v1/organisations/{medium['id']}?include=statuses,events")).json()
    assert [s["id"] for s in shown["statuses"]] == [blocked["id"]]
    assert [e["id"] for e in shown["events"]] == [event["id"]]
