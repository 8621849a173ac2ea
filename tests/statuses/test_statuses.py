"""Statuses: of one person or one organisation, and never ended before they began."""

import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


async def test_a_status_has_one_subject(api: Api) -> None:
    person, organisation = await make(api.editor, "persons"), await make(api.editor, "organisations")
    for subject in ({}, {"person": person["id"], "organisation": organisation["id"]}):
        answer = await api.editor.post("/v1/statuses", json={"kind": "wanted", **subject})
        assert answer.status_code == 422
        assert "either a person or an organisation" in answer.text


@pytest.mark.parametrize(
    ("start", "end", "status"),
    [
        ("2024-02-01", "2024-01-31", 422),
        ("2024-02-01", "2024-02-01", 201),
        ("2024-02", "2024-02-01", 201),
        ("2024-02", "2024-01", 422),
        (None, "2024-01-08", 201),
        ("/2024-01-31", "2020", 201),
        ("2024-02-01", None, 201),
    ],
)
async def test_a_status_does_not_end_before_it_starts(
    api: Api, start: str | None, end: str | None, status: int
) -> None:
    person = await make(api.editor, "persons")
    body = {"kind": "in_custody", "person": person["id"], "start": start, "end": end}
    assert (await api.editor.post("/v1/statuses", json=body)).status_code == status


async def test_several_statuses_hold_at_once(api: Api) -> None:
    person = await make(api.editor, "persons")
    for kind in ("serving_sentence", "incommunicado", "political_prisoner"):
        await make(api.editor, "statuses", kind=kind, person=person["id"], start="2023")
    held = (await api.public.get(f"/v1/statuses?person={person['id']}&on=2024-01-01")).json()["items"]
    assert len(held) == 3
    both = await api.public.get("/v1/persons?status=incommunicado&status=wanted&on=2024-01-01")
    assert [p["id"] for p in both.json()["items"]] == [person["id"]]
