"""Each mechanism of persecution and of answering it is a filtered list away."""

import pytest

from tests.conftest import Api
from tests.requirements.ask import Record, found

pytestmark = pytest.mark.anyio

Book = dict[str, Record]

JANUARY = "from=2024-01-01&to=2024-02-01"

# Mechanism → path of the list → some of the records that it must find. {organisation/x} stands for the id of a record.
MECHANISMS = {
    "recognition of political prisoners": {
        "/v1/statuses?kind=political_prisoner": {"khrasko-pp", "vitko-pp", "bialiatski-pp"},
        "/v1/statuses?kind=political_prisoner&on=2024-01-31": {"vitko-pp", "bialiatski-pp"},
        "/v1/events?type=recognition_political_prisoner": {"recognition-5", "recognition-28"},
        "/v1/events?organisation={list/political-prisoners}": {"recognition-5", "recognition-28"},
        "/v1/figures?measure=persons_in_status": {"3.01", "3.17", "3.18", "3.19", "3.46"},
    },
    "detention monitoring": {
        "/v1/events?type=detention": {
            "kgb-raid-detentions",
            "ineedhelp-week",
            "zhamchuzhny-detention",
            "hardziyevich-detention",
            "plane-2021",
            "returnees",
        },
        "/v1/events?type=detention&sex=male": {"zhamchuzhny-detention", "hardziyevich-detention"},
        f"/v1/events?type=detention&{JANUARY}&region=BY-HO": {"homiel-detention"},
        "/v1/figures?measure=events": {"1.02", "1.04", "3.05"},
    },
    "administrative trials": {
        "/v1/cases?kind=administrative": {"hardziyevich", "adamovich", "kgb-raid-admin", "jan-admin-aggregate"},
        "/v1/cases?kind=administrative&statute=BY-AC-24.15": {"kgb-raid-admin"},
        "/v1/cases?kind=administrative&sentence=administrative_arrest": {"hardziyevich", "jan-admin-aggregate"},
        "/v1/events?type=statute_first_used": {"ac2415-first-use"},
        "/v1/figures?measure=arrest_days": {"3.11", "3.41", "3.62"},
    },
    "criminal cases": {
        "/v1/cases?kind=criminal": {"mantsevich", "krasko", "kozubau", "dmukhouski-paliakou", "mialeshka", "vitko"},
        "/v1/cases?kind=criminal&stage=verdict": {"charavaka", "boika", "huseu"},
        "/v1/cases?kind=criminal&sentence=imprisonment": {"mantsevich", "krasko"},
        "/v1/cases?statute=BY-CC-361-4": {"kgb-raid-criminal"},
        "/v1/cases?result=upheld": {"raichonak", "mantsevich"},
        "/v1/figures?measure=persons_convicted": {"2.01", "2.03", "3.03", "4.04", "4.05"},
    },
    "special proceedings in absence": {
        "/v1/cases?in_absentia=yes": {"analysts", "bypol"},
        "/v1/events?type=special_proceeding_opened&type=trial_began": {"analysts", "bypol-trial"},
        "/v1/statutes?code=CPC": {"act-absentee"},
        "/v1/figures?measure=persons_charged": {"3.53", "3.67"},
    },
    "list of extremist formations": {
        "/v1/events?organisation={list/extremist-formations}": {
            "ineedhelpby-label",
            "racyja-label",
            "fbu-label",
            "formations-jan",
        },
        "/v1/organisations?status=extremist_formation": {"ineedhelpby", "racyja", "fbu"},
    },
    "list of extremist persons": {
        "/v1/events?organisation={list/extremist-persons}": {"persons-jan", "claim-control-after-release"},
    },
    "list of extremist materials": {
        "/v1/events?organisation={list/extremist-materials}": {
            "materials-jan",
            "materials-size",
            "currenttime-listed",
            "pershy-listed",
        },
        "/v1/figures?unit=decisions": {"3.65"},
        "/v1/figures?unit=items": {"4.09"},
    },
    "media blocking and media workers": {
        "/v1/events?type=website_blocked": {"mojbrest-block", "youtube-block"},
        "/v1/events?type=domain_revoked": {"baj-domain"},
        "/v1/events?type=media_restriction": {"claim-media", "claim-blocking"},
        "/v1/persons?group=media_worker": {"mantsevich", "hardziyevich", "hlushkou"},
        "/v1/events?source={source/s3-baj}": {"baj-domain", "hardziyevich-detention"},
    },
    "interference with the Bar": {
        "/v1/events?type=licence_terminated": {"bar-birylava", "bar-navitski", "bar-sakalou"},
        "/v1/events?type=found_unable_to_practise": {"bar-konada", "bar-ryzhy"},
        "/v1/events?context=legal_defence": {"brba-meeting", "claim-bar-role", "wgad-brahinets"},
        "/v1/events?person={person/mazheika}&role=client": {"bar-birylava"},
        "/v1/persons?group=lawyer": {"brahinets", "birylava"},
    },
    "liquidation of civil society, and its defenders": {
        "/v1/organisations?status=deregistered": {"bpf"},
        "/v1/events?organisation={list/liquidated-ngos}": {"ngo-liquidations"},
        "/v1/events?context=association": {"claim-assoc-criminal"},
        "/v1/persons?group=human_rights_defender": {"levinau", "bialiatski"},
        "/v1/figures?measure=organisations_in_status": {"3.66"},
    },
    "prison conditions and torture": {
        "/v1/events?facility={facility/cf1}": {"cf1-flu", "cf1-calls", "claim-prison-health"},
        "/v1/events?type=denial_of_parcels": {"autukhovich-parcels"},
        "/v1/events?type=repentant_video": {"video-education", "video-homiel"},
        "/v1/events?type=ill_treatment&type=torture": {"vitko-ill-treatment", "claim-torture"},
        "/v1/events?type=prison_conditions": {"claim-conditions-2024"},
        "/v1/events?type=impunity": {"claim-impunity"},
    },
    "incommunicado": {
        "/v1/statuses?kind=incommunicado&on=2024-01-31": {
            "kalesnikava-incom",
            "statkevich-incom",
            "tsikhanouski-incom",
            "losik-incom",
            "babaryka-incom",
            "bialiatski-incom",
        },
        "/v1/events?type=legal_assessment": {"enforced-disappearance"},
    },
    "deaths in custody": {
        "/v1/events?type=death_in_custody": {"khrasko-death"},
        "/v1/statuses?kind=deceased": {"khrasko-died"},
        "/v1/statuses?end_ground=death": {"khrasko-pp"},
        "/v1/events?person={person/khrasko}&type=public_statement": {"khrasko-statement"},
        "/v1/events?q=deaths in custody": {"claim-deaths-avoidable"},
    },
    "international mechanisms": {
        "/v1/events?organisation={organisation/wgad}&person={person/brahinets}": {"wgad-brahinets"},
        "/v1/events?organisation={organisation/hrc}&person={person/sudalenka}": {"hrc-sudalenka"},
        "/v1/events?organisation={organisation/unsr}&person={person/kastusiou}": {"unsr-kastusiou"},
        "/v1/events?type=parliamentary_hearing": {"senate-hearing"},
        "/v1/events?type=international_finding": {"crimes-humanity"},
        "/v1/events?type=public_statement&organisation={organisation/amnesty}": {"amnesty-statement"},
    },
    "solidarity": {
        "/v1/events?type=campaign": {"westandbyyou"},
        "/v1/events?type=godparenthood": {"yousaf-godparent", "three-godparents"},
        "/v1/events?type=aid_campaign": {"ineedhelpby-aid"},
        "/v1/events?type=publication": {"book"},
    },
    "relatives, former prisoners and those who return": {
        "/v1/events?type=raid&context=solidarity": {"kgb-raid"},
        "/v1/events?person={person/vitko}": {"vitko-trial", "vitko-detention"},
        "/v1/cases?context=former_prisoner": {"vishniak", "vitko"},
        "/v1/events?context=former_prisoner": {"zhamchuzhny-detention", "claim-recurring"},
        "/v1/events?context=return_from_abroad": {"returnees"},
        "/v1/events?type=denial_of_documents": {"claim-passports"},
    },
    "persecution for opposing the war": {
        "/v1/cases?context=war": {"charavaka", "shvetsau", "boika"},
        "/v1/events?context=war": {"flag", "claim-antiwar"},
    },
}


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_mechanism_can_be_asked_for(sample: Api, book: Book, mechanism: str) -> None:
    for template, wanted in MECHANISMS[mechanism].items():
        path = template
        for name, record in book.items():
            path = path.replace(f"{{{name}}}", record["id"])
        got = await found(sample.public, path)
        assert got >= wanted, f"{template} lacks {sorted(wanted - got)}"
        resource = path.removeprefix("/v1/").partition("?")[0]
        assert got < await found(sample.public, f"/v1/{resource}"), f"{template} filters nothing"


def test_every_mechanism_is_here() -> None:
    assert len(MECHANISMS) == 18
