"""Searching by name: any spelling, any order, half typed, mistyped; never by a name that the caller may not see."""

from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


async def found(client: Any, q: str, resource: str = "persons", **more: Any) -> list[str]:
    answer = await client.get(f"/v1/{resource}", params={"q": q, **more})
    assert answer.status_code == 200, answer.text
    return [(r["names"] or [{"text": None}])[0]["text"] for r in answer.json()["items"]]


async def people(api: Api, *names: str) -> None:
    for name in names:
        await make(api.editor, "persons", names=[{"text": name}])


@pytest.mark.parametrize(
    "q",
    [
        "Генадзь Пачобут",
        "Геннадий Почобут",
        "Henadz Pachobut",
        "Gennady Pochobut",
        "Hienadź Pačobut",
        "Poczobut Gienadij",
        "ПОЧОБУТ ГЕННАДИЙ",
        "Почобут Г.",
        "Г. Почобут",
        "h pachobut",
        "Почобут Геннадий Иванович",
        "Паčобут",  # Cyrillic and Latin letters in one word
        "Пачо",
        "Poczob",
        "Pachobht",  # typing errors
        "Henads Pachabvt",
    ],
)
async def test_any_spelling_finds_the_person(api: Api, q: str) -> None:
    await people(api, "Генадзь Пачобут", "Вераніка Пашкевіч", "Глеб Рагач")
    assert (await found(api.public, q))[:1] == ["Генадзь Пачобут"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Мікалай Рудовіч", "Николай Рудович"),
        ("Рыгор Быкаў", "Grigory Bykov"),
        ("Яўхім Чарот", "Ефим Чарот"),
        ("Кацярына Жук", "Ekaterina Zhuk"),
        ("Zmicier Łukašuk", "Дмитрий Лукашук"),
        ("Хведар Жук", "Fyodor Zhuk"),
        ("Юлія Жук", "Y. Zhuk"),  # initials, typed and stored
        ("J. Žuk", "Яна Жук"),
        ("Г. Жук", "Рыгор Жук"),
        ("Яна Пінчук", "Yana Pinczuuk"),  # slips: one, vowels and a consonant, in both words, with a patronymic
        ("Ларыса Шчыракова", "Lorissa Schirokuba"),
        ("Віталь Рымашэўскі", "Виалий Рымошевский"),
        ("Віталь Рымашэўскі", "Виталий Иванович Рымошесвкий"),
    ],
)
async def test_a_given_name_is_found_by_its_form_in_the_other_language(api: Api, one: str, other: str) -> None:
    await people(api, one)
    assert await found(api.public, other) == [one]


async def test_the_best_comes_first_and_pages_go_on_where_they_ended(api: Api) -> None:
    await people(api, "Іван Краско", "Іван Іванавіч Краско", "Вадзім Храсько", "Краско", "Ян Красковіч")
    assert (await found(api.public, "Krasko"))[0] == "Краско"
    assert (await found(api.public, "Иван Краско"))[0] == "Іван Краско"
    assert (await found(api.public, "Khrasko")) == ["Вадзім Храсько"]
    assert len(await found(api.public, "краско")) == 3, "while whole words are found, no word is taken for unfinished"
    whole = await found(api.public, "краск")
    assert len(whole) == 4
    paged, url = [], "/v1/persons?q=" + quote("краск") + "&limit=1"
    while url:
        page = (await api.public.get(url)).json()
        paged += [r["names"][0]["text"] for r in page["items"]]
        url = page["next"]
    assert paged == whole
    assert await found(api.public, "краск", sort="name") == sorted(whole)
    counted = await api.public.get("/v1/persons", params={"q": "краск", "count": "exact"})
    assert counted.json()["count"] == 4


async def test_one_name_is_not_found_for_another_that_only_resembles_it(api: Api) -> None:
    await people(api, "Дзяніс Краско")
    assert await found(api.public, "Khrasko") == []


async def test_organisations_and_places_are_found_alike(api: Api) -> None:
    await make(api.editor, "organisations", names=[{"text": "Магілёўскі абласны суд"}])
    await make(api.editor, "places", names=[{"text": "Магілёў"}])
    assert await found(api.public, "Mogilev sud", "organisations") == ["Магілёўскі абласны суд"]
    assert await found(api.public, "Mahilioŭ", "places") == ["Магілёў"]


async def test_a_hidden_name_finds_nobody(api: Api) -> None:
    names = [{"text": "Вера Ясень"}, {"text": "Таўбін", "level": "restricted"}, {"text": "Хмызняк", "level": "partner"}]
    made = await make(api.editor, "persons", names=names)
    await make(api.editor, "persons", names=[{"text": "Лявон Гай"}], level="restricted", publication_ground=None)
    assert await found(api.editor, "Taubin") == ["Вера Ясень"]
    assert await found(api.editor, "Лявон") == ["Лявон Гай"]
    assert await found(api.partner, "Khmyzniak") == ["Вера Ясень"]
    for client, q in (
        (api.partner, "Taubin"),
        (api.partner, "Таўбінн"),
        (api.partner, "Лявон"),
        (api.public, "Taubin"),
        (api.public, "Khmyzniak"),
        (api.public, "Хмызн"),
        (api.public, "Лявон Гай"),
        (api.public, "Вера Таўбін"),
    ):
        assert await found(client, q) == [], q
    # What a hidden name would have found does not keep the typing error from being allowed for.
    assert await found(api.public, "Вера Ясенн") == ["Вера Ясень"]
    url = f"/v1/persons/{made['id']}"
    hidden = await api.editor.patch(url, json={"level": "partner"}, headers={"If-Match": made["etag"]})
    assert hidden.status_code == 200
    assert await found(api.public, "Вера Ясень") == []
    assert await found(api.partner, "Вера Ясень") == ["Вера Ясень"]
    shown = {**names[1], "level": "public"}
    body = {"level": "public", "names": [names[0], shown]}
    again = await api.editor.patch(url, json=body, headers={"If-Match": hidden.headers["etag"]})
    assert again.status_code == 200, again.text
    assert await found(api.public, "Taubin") == ["Вера Ясень"]
    assert await found(api.editor, "Khmyzniak") == []


async def test_hiding_the_source_of_a_name_hides_the_name_from_search(api: Api) -> None:
    source = await make(api.editor, "sources")
    await make(api.editor, "persons", names=[{"text": "Вера Ясень"}, {"text": "Таўбін", "source": source["id"]}])
    assert await found(api.public, "Таўбін") == ["Вера Ясень"]
    url = f"/v1/sources/{source['id']}"
    answer = await api.editor.patch(url, json={"level": "restricted"}, headers={"If-Match": source["etag"]})
    assert answer.status_code == 200
    assert await found(api.public, "Таўбін") == []
    assert await found(api.public, "Вера Ясень") == ["Вера Ясень"]


async def test_no_login_reads_keys_above_its_level(api: Api) -> None:
    database = api.app.state.database
    for audience, tables in {
        "public": ("person_keys", "person_keys_shown", "person_keys_partner", "person_keys_restricted"),
        "partner": ("person_keys", "person_keys_restricted"),
    }.items():
        for table in tables:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.fetch(audience, f"SELECT 1 FROM {table}")


async def test_a_deleted_person_is_not_found(api: Api, owner: asyncpg.Connection) -> None:
    made = await make(api.editor, "persons", names=[{"text": "Вера Ясень"}])
    await api.editor.delete(f"/v1/persons/{made['id']}", headers={"If-Match": "*"})
    assert await found(api.editor, "Ясень") == []
    assert await owner.fetchval("SELECT count(*) FROM person_keys") == 0


async def test_the_folded_name_is_no_content(api: Api, owner: asyncpg.Connection) -> None:
    made = await make(api.editor, "persons", names=[{"text": "Вера Ясень"}])
    document = await owner.fetchval("SELECT document('person', $1)::text", made["id"])
    assert "folded" not in document
    assert "Вера Ясень" in document


ODD = ("a", "Я", "%", "\\", "'", '"', "' OR 1=1 --", "a:* & !b | (", "<->", "😀", "😀😀 Вера", "علي", "贝拉克", "-")
LONG = ("Ў" * 300, " ".join("abcdefghijklmnopqrstuvwxyz"), "Вера " * 60, "я" * 299, "ch" * 150, "c" * 40 + " x" * 100)


@pytest.mark.parametrize("q", [*ODD, *LONG])
async def test_odd_questions_are_answered(api: Api, q: str) -> None:
    await people(api, "Вера Ясень", "علي حسن")
    for client in (api.public, api.partner, api.editor):
        answer = await client.get("/v1/persons", params={"q": q})
        assert answer.status_code == 200, (q, answer.text)


@pytest.mark.parametrize("q", ["", "я" * 301, "я" * 500, "a\u0000b"])
async def test_what_is_no_line_of_text_is_refused(api: Api, q: str) -> None:
    assert (await api.public.get("/v1/persons", params={"q": q})).status_code == 422


async def test_a_list_by_name_is_one_statement(alone: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await people(alone, "Вера Ясень")
    database, ran = alone.app.state.database, []
    fetch, row = database.fetch, database.row

    async def counting_fetch(*arguments: Any) -> Any:
        ran.append(arguments)
        return await fetch(*arguments)

    async def counting_row(*arguments: Any) -> Any:
        ran.append(arguments)
        return await row(*arguments)

    monkeypatch.setattr(database, "fetch", counting_fetch)
    monkeypatch.setattr(database, "row", counting_row)
    assert await found(alone.public, "ясень") == ["Вера Ясень"]
    assert len([audience for audience, *_ in ran if audience != "auth"]) == 1
