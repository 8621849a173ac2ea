"""What the domain asks of published figures, sources and trust, and of events that are more than one thing.

- 46 several measures on one topic                    - 47 a case of repression is a unit of its own
- 48 qualifiers of figures and groups                 - 49 a published figure is a record
- 50 origin and publisher, and sources that cite      - 51 sources with gaps, in other languages
- 52 confidence of each fact                          - 53 zero is a value
- 54 unions of regions, hierarchy of places           - 55 shares, ranks, firsts
- 56 context events                                   - 57 one act of several types

Counting, comparing with the service's own count and showing contradictions are the statistics' part (47, 48, 49, 55);
here is what they are asked of.
"""

import pytest

from tests.conftest import Api
from tests.requirements.ask import Record, found, having, records

pytestmark = pytest.mark.anyio

Book = dict[str, Record]


def terms(figure: Record) -> tuple[str, str]:
    return figure["measure"], figure["unit"]


async def test_r46_several_measures_on_one_topic(sample: Api, book: Book) -> None:
    pairs = (("0.01", "2.05"), ("2.01", "4.04"), ("3.03", "3.15"), ("1.01", "1.02"), ("3.05", "3.10"))
    measured = {pair: (terms(book[f"figure/{pair[0]}"]), terms(book[f"figure/{pair[1]}"])) for pair in pairs}
    assert measured == {
        ("0.01", "2.05"): (("incidents", "incidents"), ("persons", "persons")),
        ("2.01", "4.04"): (("persons_convicted", "persons"), ("persons_convicted", "persons")),
        ("3.03", "3.15"): (("persons_convicted", "persons"), ("convictions", "convictions")),
        ("1.01", "1.02"): (("persons", "persons"), ("events", "detentions")),
        ("3.05", "3.10"): (("events", "detentions"), ("sentences", "sentences")),
    }
    assert book["figure/2.01"]["from"] != book["figure/4.04"]["from"], "one measure over two periods"
    assert "3.15" in await found(sample.public, "/v1/figures?measure=convictions")
    assert await found(sample.public, "/v1/figures?unit=detentions&measure=events") == {"1.02", "1.04", "3.05"}


async def test_r47_a_case_of_repression_groups_events(sample: Api, book: Book) -> None:
    whole = book["figure/3.04"]
    parts = [f for f in (book["figure/3.05"], book["figure/3.06"]) if f["base"]["id"] == whole["id"]]
    assert (whole["measure"], whole["value"], sum(f["value"] for f in parts)) == ("incidents", 560, 659)
    for name, events in {
        "kgb-raid": {"kgb-raid", "kgb-raid-interrogations", "kgb-raid-detentions"},
        "hardziyevich-detention": {"hardziyevich-detention", "hardziyevich-arrest"},
        "krasko-arrest": {"krasko-arrest", "krasko-dropped", "krasko-verdict"},
    }.items():
        incident = book[f"event/{name}"]["incident"]
        assert await found(sample.public, f"/v1/events?incident={incident}") == events


async def test_r48_qualifiers(sample: Api, book: Book) -> None:
    read = {
        n: (book[f"figure/{n}"]["value"], book[f"figure/{n}"]["qualifier"]) for n in ("1.01", "3.45", "4.02", "4.12")
    }
    assert read == {
        "1.01": (1000, "almost"),
        "3.45": (200, "at_least"),
        "4.02": (20000, "at_least"),
        "4.12": (24, "at_least"),
    }
    assert book["figure/4.02"]["printed"] == "tens of thousands"
    one, other = book["figure/3.06"], book["figure/3.56"]
    assert (one["value"], one["qualifier"]) == (349, "exact")
    assert (other["value"], other["qualifier"]) == (349, "at_least"), "it belongs to the statement, not to the number"
    assert await found(sample.public, "/v1/figures?qualifier=almost") == {"1.01"}
    known = {t["code"] for t in (await sample.public.get("/v1/vocabularies/qualifier")).json()["terms"]}
    assert known >= {"exact", "at_least", "more_than", "about", "approximately", "almost", "less_than", "unknown"}


async def test_r49_published_figures_are_records(sample: Api, book: Book) -> None:
    figures = {n: f for n, f in book.items() if n.startswith("figure/")}
    assert len(figures) == 107
    for name, figure in figures.items():
        kept = [figure[k] for k in ("qualifier", "measure", "unit", "printed", "originator", "source")]
        assert None not in kept, name
    for pair in (("2.08", "4.07"), ("3.38", "4.11")):
        one, other = (book[f"figure/{n}"] for n in pair)
        assert (one["measure"], one["filters"]) == (other["measure"], other["filters"])
        assert one["value"] != other["value"]
        assert one["source"]["id"] != other["source"]["id"], "they stand side by side, each with its source"
    deaths = await records(sample.public, "/v1/figures?measure=persons&sort=value")
    assert [f["value"] for f in deaths if f["filters"] == {"type": "death_in_custody"}] == [4, 5, 7]


async def test_r50_origin_and_publisher(sample: Api, book: Book) -> None:
    figure = book["figure/4.04"]
    assert figure["originator"]["id"] == book["organisation/viasna"]["id"]
    assert figure["publisher"]["label"] == "Amnesty International"
    viasna, amnesty = (book[f"organisation/{n}"]["id"] for n in ("viasna", "amnesty"))
    assert "4.04" in await found(sample.public, f"/v1/figures?originator={viasna}&publisher={amnesty}")
    cited = [c["source"]["id"] for c in book["figure/4.10"]["citations"]]
    assert cited == [book["source/s4"]["id"], book["source/observatory-2023"]["id"]]
    footnotes = [c["page"] for c in book["source/s4"]["citations"]]
    assert footnotes == [f"footnote {n}" for n in range(1, 12)]
    statement = book["source/s4"]["id"]
    assert await found(sample.public, f"/v1/sources?cited_by={statement}") >= {"observatory-2023", "amn-fn2"}
    for name, facts in (("baj", "figure/3.38"), ("mayday", "event/cf1-flu"), ("lawtrend", "figure/3.66")):
        publisher = book[f"organisation/{name}"]["id"]
        sources = await records(sample.public, f"/v1/sources?publisher={publisher}")
        resource, _, fact = facts.partition("/")
        assert fact in await found(sample.public, f"/v1/{resource}s?source={sources[0]['id']}")


async def test_r51_sources_with_gaps(sample: Api, book: Book) -> None:
    for name in ("s0", "s2"):
        source = book[f"source/{name}"]
        assert [source[k] for k in ("publisher", "published", "url")] == [None, None, None]
    assert book["source/viasna-2024-review"]["language"] == "ru"
    assert "Ситуация" in book["source/viasna-2024-review"]["title"]
    two = book["source/s1"]
    assert (two["language"], two["other_languages"]) == ("en", ["be"])
    assert two["published"]["edtf"].startswith("2024-04-26T"), "with the time of day"
    later = book["source/s3"]
    assert later["published"]["edtf"] < later["modified"]["edtf"]
    doubtful = book["source/amn-fn2"]
    assert doubtful["published"]["edtf"] == "2021-01"
    assert doubtful["note"], "the printed date is told to be doubtful"
    assert "s1" in await found(sample.public, "/v1/sources?from=2024-04-01&to=2024-05-01")


async def test_r52_confidence(sample: Api, book: Book) -> None:
    assert book["status/hlushkou-missing"]["confidence"] == "unconfirmed"
    assert book["status/birulia-t-pp"]["confidence"] == "implied"
    assert book["event/border-list-2015"]["confidence"] == "implied"
    assert {c["status"] for c in book["case/analysts"]["charges"]} == {"alleged"}
    claims = {n: r["confidence"] for n, r in book.items() if n.startswith("event/claim-")}
    assert set(claims.values()) == {"alleged"}
    assert len(claims) > 20
    assert book["event/kgb-raid"]["confidence"] is None, "set only where somebody judged it"
    assert len(await records(sample.public, "/v1/charges?status=alleged")) == 2


async def test_r53_zero_is_a_value(sample: Api, book: Book) -> None:
    printed = {n: (book[f"figure/{n}"]["value"], book[f"figure/{n}"]["printed"]) for n in ("2.09", "0.04", "3.44")}
    assert printed == {
        "2.09": (0, "no cases"),
        "0.04": (0, "not used before"),
        "3.44": (0, "did not receive any"),
    }
    lowest = await records(sample.public, "/v1/figures?sort=value")
    assert [f["value"] for f in lowest[:4]] == [0, 0, 0, 0]


async def test_r54_unions_of_regions_and_hierarchy_of_places(sample: Api, book: Book) -> None:
    assert book["figure/0.02"]["filters"] == {"region": ["BY-HM", "BY-MI"]}
    base = book["figure/0.01"]
    assert book["figure/0.02"]["base"]["id"] == base["id"]
    assert terms(book["figure/0.02"]) != terms(base), "a part that is printed in another measure than its whole"
    city = await found(sample.public, "/v1/events?region=BY-HM")
    region = await found(sample.public, "/v1/events?region=BY-MI")
    assert region == {"mantsevich-verdict"}
    assert await found(sample.public, "/v1/events?region=BY-HM&region=BY-MI") == city | region
    country = await found(sample.public, "/v1/events?place=BY")
    assert city | region | {"krasko-verdict", "kgb-raid"} <= country
    for place in (p for n, p in book.items() if n.startswith("place/") and p["code"] is None):
        assert place["parent"]["key"].startswith("BY-"), "every town stands in its region"


async def test_r55_shares_ranks_and_firsts(sample: Api, book: Book) -> None:
    share = book["figure/1.03"]
    assert (share["measure"], float(share["value"]), share["qualifier"]) == ("share", 0.3333, "approximately")
    assert share["base"]["id"] == book["figure/1.02"]["id"], "with its denominator"
    assert (book["figure/0.03"]["measure"], book["figure/0.03"]["value"]) == ("rank", 1)
    assert (float(book["figure/1.05"]["value"]), book["figure/1.05"]["qualifier"]) == (0.5, "more_than")
    months = {n: (book[f"figure/{n}"]["from"], book[f"figure/{n}"]["value"]) for n in ("3.56", "3.57")}
    assert months == {"3.56": ("2024-01", 349), "3.57": ("2023-12", 390)}
    assert "3.35" in await found(sample.public, "/v1/figures?unit=ordinal")
    assert {"0.05", "1.03", "1.05", "2.06", "4.08"} == await found(sample.public, "/v1/figures?measure=share")


async def test_r56_context_events(sample: Api, book: Book) -> None:
    elections = await found(sample.public, "/v1/events?type=election")
    assert elections == {"election-2020", "election-2025"}
    assert book["event/invasion"]["date"] is None, "its date is not printed"
    assert await found(sample.public, "/v1/events?context=elections_2020") == {"election-2020", "campaign-2020"}
    start = book["event/campaign-2020"]["date"]["earliest"]
    since = await found(sample.public, f"/v1/events?type=detention&from={start}")
    assert {"protests-2020-detentions", "vitko-detention"} <= since


async def test_r57_one_act_of_several_types(sample: Api, book: Book) -> None:
    one = await records(sample.public, f"/v1/events?incident={book['event/kgb-raid']['incident']}")
    assert {e["type"] for e in one} == {"raid", "interrogation", "detention"}
    assert {e["date"]["edtf"] for e in one} == {"2024-01-23"}
    by = {p["organisation"]["id"] for e in one for p in having(e["participants"], role="perpetrator")}
    assert by == {book["organisation/kgb"]["id"]}
    for name, other in (("video-homiel", "homiel-detention"), ("vitko-detention", "vitko-ill-treatment")):
        assert book[f"event/{name}"]["incident"] == book[f"event/{other}"]["incident"]
    two = [book[f"event/{n}"]["case"]["id"] for n in ("charavaka-shvetsau", "shvetsau-verdict")]
    assert len(set(two)) == 2, "two cases that one sentence prints"
