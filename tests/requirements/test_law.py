"""What the domain asks of law: statutes, cases with their charges, sentences and what they amount to.

- 20 code, article, part and title                    - 21 offences without a number, numbers with two titles
- 22 a nature that sources dispute                    - 23 many defendants, a result for each
- 24 the life of a charge                             - 25 instances and stages
- 26 in absence: yes, no or unknown                   - 27 kinds of sentence, together and of unknown length
- 28 proceedings other than a trial                   - 29 an unknown outcome is an outcome
- 30 money with its unit, conversion and rate         - 31 the first use of a statute
"""

import pytest

from tests.conftest import Api
from tests.factories import make
from tests.requirements.ask import Record, found, records

pytestmark = pytest.mark.anyio

Book = dict[str, Record]


async def test_r20_code_article_and_part(sample: Api) -> None:
    statutes = {s["key"]: s for s in await records(sample.public, "/v1/statutes")}
    placed = {k: (statutes[k]["article"], statutes[k]["part"], statutes[k]["article_key"]) for k in statutes}
    assert placed["BY-CC-361-1"] == ("361-1", None, "BY-CC-361-1"), "an article's number, not a part"
    assert placed["BY-CC-369-1"] == ("369-1", None, "BY-CC-369-1")
    assert placed["BY-CC-342-2"] == ("342", "2", "BY-CC-342")
    assert placed["BY-AC-24.15"] == ("24.15", None, "BY-AC-24.15")
    assert statutes["UN-ICCPR-17"]["code_key"] == "UN-ICCPR"

    async def keys(under: str) -> set[str]:
        return {s["key"] for s in await records(sample.public, f"/v1/statutes?statute={under}")}

    assert await keys("BY-CC-342") == {"BY-CC-342", "BY-CC-342-1", "BY-CC-342-2"}
    assert await keys("BY-CC-369") == {"BY-CC-369"}, "369-1 is another article"
    assert {"BY-CC-342-1", "BY-CC-361-1", "BY-CC-x-treason"} <= await keys("BY-CC")
    assert "kozubau" in await found(sample.public, "/v1/cases?statute=BY-CC-368"), "charged under part 1 of it"
    assert "hrc-sudalenka" in await found(sample.public, "/v1/events?statute=UN-ICCPR")


async def test_r21_offences_without_a_number_and_numbers_with_two_titles(sample: Api, book: Book) -> None:
    for name in ("ac-dissem", "cc-x-treason", "cc-x-armed", "cc-x-defamation"):
        assert book[f"statute/{name}"]["article"] is None
        assert book[f"statute/{name}"]["titles"]
    assert await found(sample.public, "/v1/cases?statute=BY-CC-x-armed") == {"charavaka", "shvetsau"}
    aid = book["statute/ac-24.15"]
    assert len(aid["titles"]) == 2
    assert [c["fields"] for c in aid["citations"]] == [["titles"], ["article", "titles"]]
    for words in ("using foreign aid", "given free"):
        answer = await sample.public.get("/v1/statutes", params={"q": words})
        assert [s["key"] for s in answer.json()["items"]] == ["BY-AC-24.15"]


async def test_r22_disputed_legal_nature(sample: Api, book: Book) -> None:
    statute = book["statute/ac-dissem"]
    assert statute["nature"] == "administrative"
    preferred, dissent = statute["citations"]
    assert (preferred["preferred"], dissent["state"], dissent["value"]) == (True, "disputed", {"nature": "criminal"})
    assert "ac-dissem" in await found(sample.public, f"/v1/statutes?source={dissent['source']['id']}")
    assert "claim-materials-criminal" in await found(sample.public, "/v1/events?statute=BY-AC-x-dissem")


async def test_r23_many_defendants_and_a_result_for_each(sample: Api, book: Book) -> None:
    case = book["case/dmukhouski-paliakou"]
    assert [c["person"]["label"] for c in case["charges"]] == ["Aliaksei Dmukhouski", "Vital Paliakou"]
    years = {s["person"]["label"]: s["components"][0]["years"] for s in case["sentences"]}
    assert years == {"Aliaksei Dmukhouski": 1.5, "Vital Paliakou": 3}
    person = book["person/paliakou"]["id"]
    mine = await records(sample.public, f"/v1/sentences?person={person}")
    assert [(s["case"]["id"], s["components"][0]["years"]) for s in mine] == [(case["id"], 3)]
    unnamed = {n: [(c["person"], c["count"]) for c in book[f"case/{n}"]["charges"]] for n in ("bypol", "analysts")}
    assert unnamed == {"bypol": [(None, 6)] * 3, "analysts": [(None, 20)] * 2}


async def test_r24_life_of_a_charge(sample: Api, book: Book) -> None:
    krasko = book["person/krasko"]["id"]
    dropped = await records(sample.public, f"/v1/charges?person={krasko}&status=dropped&reason=limitation")
    assert {c["statute"]["key"] for c in dropped} == {"BY-CC-368", "BY-CC-369"}
    assert {c["stage"] for c in dropped} == {"investigation"}
    convicted = await records(sample.public, f"/v1/charges?person={krasko}&status=convicted")
    assert [(c["statute"]["key"], c["requalified_from"]["key"]) for c in convicted] == [("BY-CC-130-1", "BY-CC-130")]
    assert len(await records(sample.public, f"/v1/charges?person={krasko}&status=charged")) == 3
    several = book["case/levinau"]["charges"][0]
    assert (several["counts"], several["counts_qualifier"]) == (2, "at_least"), "several counts under one part"
    ten = book["case/bypol"]["charges"][2]
    assert (ten["statute"], ten["counts"], ten["counts_qualifier"]) == (None, 10, "exact"), "articles nobody printed"
    assert {c["some_only"] for c in book["case/kgb-raid-criminal"]["charges"]} == {True}
    states = {n: book[f"case/{n}"]["charges"][0]["status"] for n in ("vitko", "kozubau", "analysts", "recognised-five")}
    assert states == {
        "vitko": "on_trial",
        "kozubau": "tried",
        "analysts": "alleged",
        "recognised-five": "charged_or_convicted",
    }
    assert await found(sample.public, "/v1/cases?statute=BY-CC-361-1") == {"kgb-raid-criminal"}


async def test_r25_stages_and_instances(sample: Api, book: Book) -> None:
    for name in ("raichonak", "mantsevich"):
        appeal = book[f"case/{name}-appeal"]
        assert (appeal["parent"]["id"], appeal["stage"], appeal["result"]) == (
            book[f"case/{name}"]["id"],
            "appeal",
            "upheld",
        )
    assert await found(sample.public, "/v1/cases?stage=appeal&result=upheld") == {
        "raichonak-appeal",
        "mantsevich-appeal",
    }
    assert await found(sample.public, "/v1/cases?stage=trial") == {"vitko", "bypol"}
    assert book["case/kozubau"]["closed_hearing"] is True
    assert book["case/kozubau"]["sentences"][0]["components"][0]["normal_days"] is None
    assert {"huseu"} == await found(sample.public, "/v1/cases?statute=BY-CC-411")
    assert book["case/levinau"]["stage"] == "opened"
    assert await found(sample.public, "/v1/persons?status=wanted") == {"levinau", "tratsiakova"}


async def test_r26_in_absence_yes_no_or_unknown(sample: Api, book: Book) -> None:
    assert await found(sample.public, "/v1/cases?in_absentia=yes") == {"analysts", "bypol"}
    assert "vishniak" in await found(sample.public, "/v1/cases?in_absentia=unknown")
    assert "krasko" in await found(sample.public, "/v1/cases?in_absentia=no")
    assert book["statute/act-absentee"]["valid_from"]["edtf"] == "2022"
    assert "absentee-2022" in await found(sample.public, "/v1/events?statute=BY-CPC-x-absentee&type=law_adopted")


async def test_r27_kinds_of_sentence(sample: Api, book: Book) -> None:
    both = book["case/mantsevich"]["sentences"][0]["components"]
    assert [(c["kind"], c["years"], c["unit"]) for c in both] == [("imprisonment", 4, None), ("fine", None, "USD")]
    assert (both[0]["amount"], float(both[1]["amount"])) == (None, 4500)
    assert book["case/mialeshka"]["sentences"][0]["components"][0]["months"] == 6
    days = {
        n: book[f"case/{n}"]["sentences"][0]["components"][0]["normal_days"]
        for n in ("hardziyevich", "charavaka", "boika", "kozubau", "mialeshka")
    }
    assert days == {"hardziyevich": 15, "charavaka": None, "boika": None, "kozubau": None, "mialeshka": 913.13}
    home = await found(sample.public, "/v1/cases?sentence=home_confinement")
    assert home == {"vitko-old", "dmukhouski-paliakou", "mialeshka"}
    kinds = (await sample.public.get("/v1/vocabularies/sentence_kind")).json()["terms"]
    custodial = {t["code"]: t["attributes"].get("custodial") for t in kinds}
    assert (custodial["imprisonment"], custodial["home_confinement"], custodial["unknown"]) == (True, False, None)


async def test_r28_proceedings_other_than_a_trial(sample: Api, book: Book) -> None:
    case = book["case/kastusiou-regime"]
    assert await found(sample.public, "/v1/cases?kind=prison_regime") == {"kastusiou-regime"}
    assert case["parent"]["id"] == book["case/kastusiou-main"]["id"]
    assert [j["label"] for j in case["judges"]] == ["Siarhei Kukhatskavolts"]
    assert [(s["outcome"], s["components"][0]["kind"]) for s in case["sentences"]] == [
        ("regime_changed", "regime_change_to_prison")
    ]
    assert "video link" in case["summary"]


async def test_r29_unknown_outcome_is_an_outcome(sample: Api, book: Book) -> None:
    many = book["case/jan-admin-aggregate"]
    assert (many["count"], many["qualifier"]) == (349, "at_least")
    split = [(s["label"], s["count"], s["outcome"]) for s in many["sentences"]]
    assert split == [
        ("fined", 77, "convicted"),
        ("arrested", 46, "convicted"),
        ("outcome not known", 226, "unknown"),
    ]
    assert sum(n for _, n, _ in split) == many["count"]
    assert "jan-admin-aggregate" in await found(sample.public, "/v1/cases?kind=administrative&outcome=unknown")
    unknown = await records(sample.public, "/v1/sentences?outcome=unknown")
    assert [s["case"]["id"] for s in unknown] == [many["id"]]
    assert book["case/huseu"]["sentences"][0]["components"][0]["kind"] == "unknown"


async def test_r30_money_and_units(sample: Api, book: Book, api: Api) -> None:
    """Sums by unit or currency are the statistics' part; amounts stay as printed, and rates are dated data."""
    fine = book["case/jan-admin-aggregate"]["sentences"][0]["components"][0]
    assert (float(fine["amount"]), fine["unit"]) == (1611, "base_value")
    assert (float(fine["converted_amount"]), fine["converted_unit"]) == (19765, "USD")
    assert fine["converted_on"] is None, "the source prints no day of its rate"
    dollars = book["case/mantsevich"]["sentences"][0]["components"][1]
    assert (dollars["unit"], dollars["converted_amount"]) == ("USD", None)
    rates = (await sample.public.get("/v1/rates")).json()["items"]
    base = {
        r["valid_from"][:4]: float(r["amount"]) for r in rates if (r["unit"], r["currency"]) == ("base_value", "BYN")
    }
    assert (base["2017"], base["2018"], base["2024"], base["2025"]) == (23, 24.5, 40, 42)
    component = {"kind": "fine", "amount": "10", "unit": "base_value"}
    rate = {"converted_amount": "122.69", "converted_unit": "USD", "converted_on": "2024-01-31"}
    sentence = {"outcome": "convicted", "label": "somebody", "count": 1, "components": [component | rate]}
    kept = (await make(api.editor, "cases", kind="administrative", sentences=[sentence]))["sentences"][0]
    assert kept["components"][0]["converted_on"] == "2024-01-31"
    wrong = {
        "kind": "administrative",
        "sentences": [sentence | {"components": [component | {"converted_on": 20240131}]}],
    }
    assert (await api.editor.post("/v1/cases", json=wrong)).status_code == 422


async def test_r31_first_use_of_a_statute(sample: Api, book: Book) -> None:
    first = book["event/ac2415-first-use"]
    assert first["date"]["edtf"] == "2024-02"
    assert [c["value"] for c in first["citations"] if c["value"]] == [
        {"date": {"edtf": "2024-01-23/..", "printed": "after the January raid"}}
    ]
    used = await records(sample.public, "/v1/charges?statute=BY-AC-24.15")
    assert [c["date"]["earliest"] for c in used] == ["2024-01-23"], "a charge has a date of its own"
    assert await found(sample.public, "/v1/events?statute=BY-AC-24.15&type=statute_first_used") == {"ac2415-first-use"}
    # A published zero: not used before the raid by one source, before February by another.
    zeros = {n: (book[f"figure/{n}"]["value"], book[f"figure/{n}"]["to"]) for n in ("0.04", "1.09")}
    assert zeros == {"0.04": (0, "2024-01-23"), "1.09": (0, "2024-02")}
