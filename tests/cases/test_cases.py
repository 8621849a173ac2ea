"""Cases: nested in one request, listed part by part, with lengths as printed and in days."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("component", "days"),
    [
        ({"kind": "imprisonment", "years": 2, "months": 6}, 913.13),
        ({"kind": "home_confinement", "years": 1.5}, 547.88),
        ({"kind": "administrative_arrest", "days": 15}, 15),
        ({"kind": "imprisonment"}, None),
        ({"kind": "fine", "amount": "4500", "unit": "USD"}, None),
    ],
)
async def test_a_length_is_kept_as_printed_and_counted_in_days(
    api: Api, component: dict[str, Any], days: float | None
) -> None:
    sentences = [{"count": 1, "outcome": "convicted", "components": [component]}]
    kept = (await make(api.editor, "cases", sentences=sentences))["sentences"][0]["components"][0]
    assert kept["normal_days"] == days
    assert {k: float(v) if k not in {"kind", "unit"} else v for k, v in component.items()} == {
        k: float(kept[k]) if k not in {"kind", "unit"} else kept[k] for k in component
    }


async def test_a_fine_needs_its_unit(api: Api) -> None:
    sentences = [{"count": 1, "outcome": "convicted", "components": [{"kind": "fine", "amount": "25"}]}]
    answer = await api.editor.post("/v1/cases", json={"kind": "administrative", "sentences": sentences})
    assert (answer.status_code, "unit" in answer.text) == (422, True)


async def test_errors_point_into_the_nested_parts(api: Api) -> None:
    charges = [{"status": "charged", "count": 1}, {"status": "charged", "statute": "XX-CC-999"}]
    sentences = [{"outcome": "guilty", "components": [{"kind": "imprisonment"}, {"kind": "fine", "unit": "1"}]}]
    for body, pointers in (
        ({"charges": charges}, {"/charges/1/statute"}),
        ({"sentences": sentences[:1]}, {"/sentences/0/components/1/unit"}),
        ({"sentences": [{"outcome": "guilty"}], "stage": "no_stage"}, {"/sentences/0/outcome", "/stage"}),
        ({"charges": [{"status": "charged", "person": {"origin": "x"}}]}, {"/charges/0/person"}),
    ):
        answer = await api.editor.post("/v1/cases", json={"kind": "criminal", **body})
        assert (answer.status_code, {e["pointer"] for e in answer.json()["errors"]}) == (422, pointers)


async def test_charges_and_sentences_have_lists_of_their_own(api: Api) -> None:
    person = await make(api.editor, "persons")
    sentences = [{"person": person["id"], "outcome": "convicted", "components": [{"kind": "fine"}]}]
    charges = [
        {"person": person["id"], "status": s, "date": d} for s, d in (("charged", "2023"), ("convicted", "2024"))
    ]
    case = await make(api.editor, "cases", charges=charges, sentences=sentences)
    listed = (await api.public.get(f"/v1/charges?case={case['id']}")).json()["items"]
    assert {c["status"]: c["date"]["edtf"] for c in listed} == {"charged": "2023", "convicted": "2024"}
    assert {c["case"]["id"] for c in listed} == {case["id"]}
    one = (await api.public.get(f"/v1/sentences?case={case['id']}")).json()["items"]
    assert [c["kind"] for s in one for c in s["components"]] == ["fine"]
    await api.editor.patch(
        f"/v1/cases/{case['id']}", json={"level": "restricted", "publication_ground": None}, headers={"If-Match": "*"}
    )
    for part in ("charges", "sentences"):
        assert (await api.public.get(f"/v1/{part}")).json()["items"] == []
        assert (await api.editor.get(f"/v1/{part}")).json()["items"] != []


async def test_no_case_is_an_appeal_of_itself(api: Api) -> None:
    first = await make(api.editor, "cases")
    appeal = await make(api.editor, "cases", parent=first["id"])
    url = f"/v1/cases/{first['id']}"
    assert (await api.editor.patch(url, json={"parent": appeal["id"]}, headers={"If-Match": "*"})).status_code == 422
