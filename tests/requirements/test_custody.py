"""What the domain asks of custody: intervals, facilities, death, punishment, release and recognition.

- 32 statuses as concurrent intervals                 - 33 facilities, named, numbered or neither
- 34 death in custody                                 - 35 breaches of prison rules and stricter regimes
- 36 prison conditions without a named victim         - 37 release with its ground, and persecution again
- 38 recognition as a political prisoner, by whom and when
"""

import pytest

from tests.conftest import Api
from tests.requirements.ask import Record, found, having, records

pytestmark = pytest.mark.anyio

Book = dict[str, Record]


async def test_r32_statuses_are_concurrent_intervals(sample: Api, book: Book) -> None:
    person = book["person/bialiatski"]["id"]
    held = await records(sample.public, f"/v1/statuses?person={person}&on=2024-01-31")
    assert {s["kind"] for s in held} == {"political_prisoner", "serving_sentence", "incommunicado"}
    assert await found(sample.public, "/v1/persons?status=maximum_security&on=2024-02-01") == {"kastusiou"}
    missing = book["status/hlushkou-missing"]
    assert (missing["kind"], missing["confidence"]) == ("missing", "unconfirmed")
    unreachable = await found(sample.public, "/v1/persons?status=incommunicado&on=2024-12-31")
    assert len(unreachable) == 6, "six are named; the source says more than ten:"
    printed = book["figure/2.07"]
    assert (printed["value"], printed["qualifier"], printed["filters"]) == (
        10,
        "more_than",
        {"status": "incommunicado"},
    )


async def test_r33_facilities(sample: Api, book: Book) -> None:
    known, elsewhere, unnamed, centre = (book[f"facility/{n}"] for n in ("cf1", "cf3", "max-unnamed", "tdc-hlushkou"))
    assert (known["names"][0]["text"], known["place"]["label"]) == ("Correctional Facility No. 1", "Navapolack")
    assert (elsewhere["names"][0]["text"], elsewhere["place"]) == ("Correctional Facility No. 3", None)
    assert (unnamed["kind"], unnamed["names"]) == ("maximum_security_prison", [])
    assert (centre["kind"], centre["names"]) == ("temporary_detention_centre", [])
    region = await found(sample.public, "/v1/organisations?kind=correctional_facility&place=BY-VI")
    assert region == {"cf1"}
    assert await found(sample.public, f"/v1/events?facility={known['id']}") >= {"cf1-flu", "cf1-calls"}
    assert book["figure/3.46"]["filters"] == {"status": "political_prisoner", "facility": "facility/cf1"}
    assert await found(sample.public, f"/v1/persons?facility={unnamed['id']}") == {"kastusiou"}


async def test_r34_death_in_custody(sample: Api, book: Book) -> None:
    """That an illness was known before is protected: a guardian reads it with the person."""
    death = book["event/khrasko-death"]
    assert death["facility"]["id"] == book["facility/cf3"]["id"]
    other = having(death["citations"], state="disputed")[0]["value"]["facility"]
    assert other["origin_id"] == "facility/hospital-khrasko", "one source tells of another place of death"
    assert await found(sample.public, "/v1/events?type=death_in_custody") == {"khrasko-death"}
    khrasko = book["person/khrasko"]
    assert khrasko["died"]["edtf"] == "2024-01-08/2024-01-09"
    kept = (await sample.guardian.get(f"/v1/persons/{khrasko['id']}/protected")).json()["health"]
    assert any("before the trial" in fact for fact in kept)
    assert book["status/khrasko-died"]["kind"] == "deceased"
    printed = {n: (book[f"figure/{n}"]["value"], book[f"figure/{n}"]["qualifier"]) for n in ("2.08", "4.06", "4.07")}
    assert printed == {"2.08": (4, "exact"), "4.06": (7, "at_least"), "4.07": (5, "exact")}
    assert book["figure/4.08"]["base"]["id"] == book["figure/4.06"]["id"]


async def test_r35_rule_violations_and_regime_changes(sample: Api, book: Book) -> None:
    assert await found(sample.public, "/v1/events?type=prison_rule_violation") == {"prison-routine-100"}
    assert await found(sample.public, "/v1/events?type=regime_tightened") == {"prison-regime-67", "kastusiou-transfer"}
    transfer = book["event/kastusiou-transfer"]
    assert (transfer["case"]["id"], transfer["result"]) == (
        book["case/kastusiou-regime"]["id"],
        "maximum-security prison",
    )
    printed = {n: book[f"figure/{n}"]["value"] for n in ("3.25", "3.26")}
    assert printed == {"3.25": 100, "3.26": 67}


async def test_r36_prison_conditions_without_a_named_victim(sample: Api, book: Book) -> None:
    for name, kind in (("cf1-flu", "epidemic_in_prison"), ("cf1-calls", "denial_of_calls")):
        assert book[f"event/{name}"]["type"] == kind
        assert [p["person"] for p in book[f"event/{name}"]["participants"]] == [None]
    told = await found(sample.public, "/v1/events?type=prison_conditions&from=2024-06-01&to=2024-07-01")
    assert told == {"claim-conditions-2024"}
    parcels = book["event/autukhovich-parcels"]
    assert parcels["ground"] == "he refused them himself, officials say"
    denied = having(parcels["citations"], state="disputed")[0]
    assert (denied["fields"], "given nothing" in denied["value"]["ground"]) == (["ground"], True)
    assert "autukhovich-parcels" in await found(sample.public, "/v1/events?type=denial_of_parcels&from=2023-05-01")


async def test_r37_release_and_persecution_again(sample: Api, book: Book) -> None:
    person = book["person/zhamchuzhny"]["id"]
    life = await records(sample.public, f"/v1/events?person={person}&sort=date&role=victim")
    assert [(e["type"], e["ground"]) for e in life if e["date"]] == [("release", "term served"), ("detention", None)]
    assert await found(sample.public, f"/v1/cases?person={book['person/vitko']['id']}") == {"vitko-old", "vitko"}
    again = await found(sample.public, "/v1/events?context=former_prisoner&type=detention")
    assert again == {"zhamchuzhny-detention", "vitko-detention"}
    assert "claim-recurring" in await found(sample.public, "/v1/events?type=repeat_persecution")
    grounds = (await sample.public.get("/v1/vocabularies/status_end_ground")).json()["terms"]
    assert {"served", "pardon", "death", "non_custodial"} <= {t["code"] for t in grounds}
    freed = await found(sample.public, "/v1/statuses?end_ground=non_custodial")
    assert freed == {"dmukhouski-custody", "paliakou-custody"}
    assert (book["figure/3.20"]["value"], book["figure/3.20"]["filters"]) == (1500, {"type": "release"})


async def test_r38_recognition_by_whom_and_when(sample: Api, book: Book) -> None:
    by = book["organisation/hr-community"]["id"]
    recognised = await found(sample.public, f"/v1/statuses?kind=political_prisoner&declared_by={by}")
    assert "khrasko-pp" in recognised
    assert "hlushkou-pp" not in recognised
    assert book["status/hlushkou-pp"]["confidence"] == "implied"
    assert book["status/khrasko-pp"]["start"]["earliest"] is None, "the day is not printed"
    acts = {n: book[f"event/{n}"]["date"]["edtf"] for n in ("recognition-5", "recognition-28")}
    assert acts == {"recognition-5": "2024-01-24", "recognition-28": "2024-01"}
    recognitions = await found(
        sample.public, f"/v1/events?type=recognition_political_prisoner&organisation={by}&role=deciding_body"
    )
    assert recognitions == set(acts)
    five, many = (book[f"event/{n}"]["participants"][0] for n in acts)
    assert (five["count"], five["within"], many["count"]) == (5, many["id"], 28)
