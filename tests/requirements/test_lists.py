"""What the domain asks of lists, media, organisations, lawyers, international bodies and solidarity.

- 39 entries of a list, decisions apart from items     - 40 lists of the state and of civil society
- 41 measures against media                            - 42 lawyers and the bodies that judge them
- 43 the status of an organisation over time           - 44 international acts
- 45 solidarity, many to many
"""

import pytest

from tests.conftest import Api
from tests.requirements.ask import Record, found, having, records

pytestmark = pytest.mark.anyio

Book = dict[str, Record]


async def entries(sample: Api, book: Book, name: str) -> list[Record]:
    """Return what was added to a list: the events in which the list took part."""
    return await records(sample.public, f"/v1/events?organisation={book[f'list/{name}']['id']}")


async def test_r39_list_entries(sample: Api, book: Book) -> None:
    formations = await records(
        sample.public, "/v1/events?type=listed_extremist_formation&from=2024-01-01&to=2024-02-01"
    )
    listed = [p for e in formations for p in having(e["participants"], role="listed")]
    assert sorted(p["organisation"]["label"] for p in listed if p["organisation"]) == [
        "Belaruskaje Radio Racyja",
        "Free Belarusian University",
        "INeedHelpBY",
    ]
    counted = [(p["count"], p["unit"]) for p in listed if p["count"]]
    assert (counted, 3 + counted[0][0]) == ([(6, "organisations")], book["figure/3.63"]["value"])
    assert {e["id"] for e in formations} == {e["id"] for e in await entries(sample, book, "extremist-formations")}

    persons = await records(sample.public, "/v1/events?type=listed_extremist_person")
    assert [(p["count"], p["unit"]) for p in having(persons[0]["participants"], role="listed")] == [(86, None)]

    decisions = having(book["event/materials-jan"]["participants"], role="listed")[0]
    assert (decisions["count"], decisions["unit"]) == (107, "decisions"), "decisions, which are never added to people"
    within = {
        e["origin_id"]
        for e in await entries(sample, book, "extremist-materials")
        if any(p["within"] == decisions["id"] for p in e["participants"])
    }
    assert within == {"event/currenttime-listed", "event/pershy-listed"}
    items = book["figure/4.09"]
    assert (items["value"], items["unit"], items["measure"]) == (6565, "items", "item_count")
    assert "materials-size" in await found(sample.public, "/v1/events?from=2024-11-01&to=2024-11-02")


async def test_r40_lists_of_the_state_and_of_civil_society(sample: Api, book: Book) -> None:
    lists = await found(sample.public, "/v1/organisations?kind=list")
    assert lists >= {"wanted", "border-2015", "political-prisoners", "liquidated-ngos", "extremist-materials"}
    keepers = {
        n: book[f"list/{n}"]["parent"]["label"] for n in ("border-2015", "political-prisoners", "liquidated-ngos")
    }
    assert keepers == {
        "border-2015": "border guards",
        "political-prisoners": "human rights community of Belarus",
        "liquidated-ngos": "Lawtrend",
    }
    assert {e["origin_id"] for e in await entries(sample, book, "wanted")} == {
        "event/levinau-wanted",
        "event/tratsiakova-wanted",
    }
    assert {e["origin_id"] for e in await entries(sample, book, "border-2015")} == {"event/border-list-2015"}
    kept = await found(sample.public, f"/v1/organisations?within={book['organisation/lawtrend']['id']}")
    assert kept == {"lawtrend", "liquidated-ngos"}


async def test_r41_measures_against_media(sample: Api, book: Book) -> None:
    media = await found(sample.public, "/v1/events?context=media_freedom")
    assert media >= {"baj-domain", "mojbrest-block", "currenttime-listed", "pershy-listed", "racyja-label"}
    assert await found(sample.public, "/v1/events?type=domain_revoked") == {"baj-domain"}
    assert await found(sample.public, "/v1/events?type=website_blocked") == {"mojbrest-block", "youtube-block"}
    blocked_by = having(book["event/mojbrest-block"]["participants"], role="deciding_body")
    assert [p["organisation"]["label"] for p in blocked_by] == ["Ministry of Information"]
    channel = having(book["event/pershy-listed"]["participants"], role="listed")[0]
    assert (channel["organisation"]["label"], channel["label"]) == ("Pershy Rehijon", "its YouTube channel")
    assert await found(sample.public, "/v1/organisations?status=blocked&on=2024-02-01") == {"moj-brest"}


async def test_r42_lawyers(sample: Api, book: Book) -> None:
    ended = await found(sample.public, "/v1/events?type=licence_terminated&group=lawyer")
    assert ended == {"bar-birylava", "bar-navitski", "bar-sakalou"}
    assert await found(sample.public, "/v1/events?type=found_unable_to_practise") == {"bar-konada", "bar-ryzhy"}
    body = book["organisation/qualcom"]["id"]
    decided = await found(sample.public, f"/v1/events?organisation={body}&role=deciding_body")
    assert decided == ended | {"bar-konada", "bar-ryzhy"}
    client = having(book["event/bar-birylava"]["participants"], role="client")
    assert [p["person"]["label"] for p in client] == ["Pavel Mazheika"]
    for name in decided:
        doubt = having(book[f"event/{name}"]["citations"], state="disputed")
        assert [c["fields"] for c in doubt] == [["ground"]]
    assert await found(sample.public, "/v1/events?type=meeting&context=legal_defence") == {"brba-meeting"}
    assert await found(sample.public, "/v1/persons?status=disbarred") == {"birylava", "navitski", "sakalou"}


async def test_r43_status_of_an_organisation_over_time(sample: Api, book: Book) -> None:
    assert await found(sample.public, "/v1/organisations?status=deregistered&on=2024-02-01") == {"bpf"}
    formations = "/v1/organisations?status=extremist_formation&on="
    assert await found(sample.public, formations + "2024-01-21") == {"racyja", "fbu"}
    assert await found(sample.public, formations + "2024-01-22") == {"racyja", "fbu", "ineedhelpby"}
    assert await found(sample.public, formations + "2023-12-31") == set()
    assert book["figure/3.66"]["filters"] == {"status": ["liquidated", "in_liquidation"]}


async def test_r44_international_acts(sample: Api, book: Book) -> None:
    acts = {"wgad-brahinets": "wgad", "hrc-sudalenka": "hrc", "unsr-kastusiou": "unsr"}
    for name, body in acts.items():
        assert await found(sample.public, f"/v1/events?organisation={book[f'organisation/{body}']['id']}") == {name}
        assert book[f"event/{name}"]["number"] is None, "none is printed"
    assert [s["key"] for s in book["event/hrc-sudalenka"]["statutes"]] == ["UN-ICCPR-17"]
    life = await found(sample.public, f"/v1/events?person={book['person/sudalenka']['id']}")
    assert life == {"hrc-sudalenka", "border-2015", "border-list-2015"}, "with the facts of 2015 that it is about"
    assert await found(sample.public, f"/v1/events?case={book['case/brahinets']['id']}") == {"wgad-brahinets"}


async def test_r45_solidarity(sample: Api, book: Book) -> None:
    godparents = await found(sample.public, "/v1/events?type=godparenthood")
    assert godparents == {"three-godparents", "yousaf-godparent"}
    three = book["event/three-godparents"]["participants"]
    assert ([p["count"] for p in having(three, role="godparent")], len(having(three, role="subject"))) == ([3], 4)
    first = having(book["event/yousaf-godparent"]["participants"], role="godparent")[0]
    assert first["label"] == "400th parliamentarian and first head of government"
    hearing = book["event/senate-hearing"]
    subjects = having(hearing["participants"], role="subject")
    assert len([p for p in subjects if p["person"]]) == 4
    assert [(p["qualifier"], p["label"]) for p in subjects if not p["person"]] == [
        ("unknown", "other prisoners shown in photographs")
    ]
    assert "Cambodia" in hearing["description"], "and the countries whose prisoners were shown"
    libereco = book["organisation/libereco"]["id"]
    campaign = await found(sample.public, f"/v1/events?organisation={libereco}&role=organiser")
    assert campaign == godparents | {"westandbyyou"}
    ordinal = {n: (book[f"figure/{n}"]["measure"], book[f"figure/{n}"]["value"]) for n in ("3.34", "3.35")}
    assert {v for _, v in ordinal.values()} == {400, 1}
