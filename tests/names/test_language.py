"""The reader's language: which name is shown first, in labels and in lists of names."""

import pytest

from app.core.http import languages
from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio

NAMES = [
    {"text": "Viera Jasień", "language": "be", "script": "Latn"},
    {"text": "Вера Ясень", "language": "ru", "script": "Cyrl"},
    {"text": "Вера Ясень!", "language": "be-tarask", "script": "Cyrl"},
    {"text": "Vera Yasen", "language": "en", "script": "Latn"},
]


@pytest.mark.parametrize(
    ("lang", "header", "first"),
    [
        (None, None, "Viera Jasień"),
        ("ru", None, "Вера Ясень"),
        ("en-GB", None, "Vera Yasen"),
        ("be", None, "Viera Jasień"),
        ("de", None, "Viera Jasień"),
        (None, "ru", "Вера Ясень"),
        (None, "de, en;q=0.5, ru;q=0.7", "Вера Ясень"),
        (None, "de-AT;q=1.0,en-US;q=0.9,*;q=0.1", "Vera Yasen"),
        (None, "ru;q=0, en", "Vera Yasen"),
        (None, ";;,=,q=,\u00e9,x" * 100, "Viera Jasień"),
        ("en", "ru", "Vera Yasen"),
    ],
)
async def test_a_name_in_the_readers_language_comes_first(
    api: Api, lang: str | None, header: str | None, first: str
) -> None:
    made = await make(api.editor, "persons", names=NAMES)
    status = await make(api.editor, "statuses", person=made["id"])
    params = {"lang": lang} if lang else {}
    headers = {b"Accept-Language": header.encode("latin-1")} if header else {}
    for url in (f"/v1/persons/{made['id']}", "/v1/persons"):
        answer = await api.public.get(url, params=params, headers=headers)
        body = answer.json()
        names = (body["items"][0] if "items" in body else body)["names"]
        assert names[0]["text"] == first
        assert sorted(n["text"] for n in names) == sorted(n["text"] for n in NAMES)
        assert "Accept-Language" in answer.headers["vary"]
    named = await api.public.get(f"/v1/statuses/{status['id']}", params=params, headers=headers)
    assert named.json()["person"]["label"] == first
    twin = await make(api.editor, "persons", names=[{"text": "Vera Jasień"}])
    body = (await api.public.get(f"/v1/persons/{twin['id']}/similar", params=params, headers=headers)).json()
    assert [i["person"]["label"] for i in body["items"]] == [first]


async def test_who_may_write_gets_the_order_that_is_kept(api: Api) -> None:
    made = await make(api.editor, "persons", names=NAMES)
    url = f"/v1/persons/{made['id']}"
    read = await api.editor.get(url, headers={"Accept-Language": "ru"})
    back = await api.editor.put(url, json=read.json(), headers={"If-Match": read.headers["etag"]})
    assert back.status_code == 200, back.text
    assert back.json()["version"] == 1
    assert [n["text"] for n in back.json()["names"]] == [n["text"] for n in NAMES]


async def test_the_order_of_a_list_does_not_depend_on_the_reader(api: Api) -> None:
    await make(api.editor, "persons", names=[{"text": "A", "language": "be"}, {"text": "Z", "language": "ru"}])
    await make(api.editor, "persons", names=[{"text": "B", "language": "be"}])
    for lang in ("be", "ru"):
        items = (await api.public.get("/v1/persons", params={"sort": "name", "lang": lang})).json()["items"]
        assert {n["text"] for n in items[0]["names"]} == {"A", "Z"}


async def test_a_language_is_a_tag(api: Api) -> None:
    for lang in ("", "x", "be_BY", "be;drop", "б"):
        assert (await api.public.get("/v1/persons", params={"lang": lang})).status_code == 422


def test_no_language_is_asked_for_twice() -> None:
    class Asked:
        headers = {"accept-language": "en-US, en;q=0.9, be;q=0.95"}

    assert languages(Asked(), None) == ["en", "be"]  # type: ignore[arg-type]
