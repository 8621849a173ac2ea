"""Places: a tree of names and codes."""

import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


async def test_a_place_is_given_by_its_code(api: Api) -> None:
    region = await make(api.editor, "places", kind="region", code="XX-A", names=[{"text": "Alpha"}])
    town = await make(api.editor, "places", parent="XX-A")
    assert town["parent"] == {"id": region["id"], "label": "Alpha", "key": "XX-A"}
    unknown = await api.editor.post("/v1/places", json={"kind": "city", "names": [{"text": "x"}], "parent": "XX-Z"})
    assert (unknown.status_code, unknown.json()["errors"][0]["pointer"]) == (422, "/parent")


async def test_a_code_belongs_to_one_place(api: Api) -> None:
    await make(api.editor, "places", code="XX")
    body = {"kind": "country", "code": "XX", "names": [{"text": "Other"}]}
    assert (await api.editor.post("/v1/places", json=body)).status_code == 409


async def test_no_place_contains_itself(api: Api) -> None:
    top = await make(api.editor, "places", kind="country")
    middle = await make(api.editor, "places", kind="region", parent=top["id"])
    bottom = await make(api.editor, "places", parent=middle["id"])
    for inner in (top, middle, bottom):
        moved = await api.editor.patch(
            f"/v1/places/{top['id']}", json={"parent": inner["id"]}, headers={"If-Match": "*"}
        )
        assert moved.status_code == 422
    assert (await api.public.get(f"/v1/places/{top['id']}")).json()["parent"] is None


async def test_a_place_has_a_name_and_its_first_is_the_label(api: Api) -> None:
    assert (await api.editor.post("/v1/places", json={"kind": "city", "names": []})).status_code == 422
    names = [{"text": "Mahilioŭ", "language": "be", "script": "Latn"}, {"text": "Магілёў", "language": "be"}]
    place = await make(api.editor, "places", names=names)
    event = await make(api.editor, "events", place=place["id"])
    assert event["place"]["label"] == "Mahilioŭ"
    turned = {"names": list(reversed(place["names"]))}
    await api.editor.patch(f"/v1/places/{place['id']}", json=turned, headers={"If-Match": "*"})
    assert (await api.public.get(f"/v1/events/{event['id']}")).json()["place"]["label"] == "Магілёў"
