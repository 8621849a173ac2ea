"""Statutes: keys that say where a part belongs, and offences that have no number."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("given", "key", "article_key", "code_key"),
    [
        ({"code": "CC"}, "XX-CC", None, "XX-CC"),
        ({"code": "CC", "article": "361-1"}, "XX-CC-361-1", "XX-CC-361-1", "XX-CC"),
        ({"code": "CC", "article": "342", "part": "1"}, "XX-CC-342-1", "XX-CC-342", "XX-CC"),
        ({"code": "AC", "article": "24.15"}, "XX-AC-24.15", "XX-AC-24.15", "XX-AC"),
        ({"code": "CC", "key": "XX-CC-x-treason"}, "XX-CC-x-treason", None, "XX-CC"),
    ],
)
async def test_a_statute_rolls_up_by_its_numbers(
    api: Api, given: dict[str, Any], key: str, article_key: str | None, code_key: str
) -> None:
    body = {"jurisdiction": "XX", "level": "public", "publication_ground": "public_record", **given}
    made = (await api.editor.post("/v1/statutes", json=body)).json()
    assert (made["key"], made["article_key"], made["code_key"]) == (key, article_key, code_key)


async def test_a_key_belongs_to_one_statute(api: Api) -> None:
    first = await make(api.editor, "statutes", article="342")
    again = await api.editor.post("/v1/statutes", json={"jurisdiction": "XX", "code": "CC", "article": "342"})
    assert again.status_code == 409
    assert first["id"] not in again.text, "the answer does not say whose it is"


async def test_a_part_needs_its_article(api: Api) -> None:
    answer = await api.editor.post("/v1/statutes", json={"jurisdiction": "XX", "code": "CC", "part": "1"})
    assert (answer.status_code, "article" in answer.json()["errors"][0]["detail"]) == (422, True)


async def test_a_renumbered_statute_rolls_up_anew(api: Api) -> None:
    made = await make(api.editor, "statutes", article="342", part="1")
    await make(api.editor, "statutes", article="343")
    url = f"/v1/statutes/{made['id']}"
    moved = {"article": "343", "key": "XX-CC-343-1"}
    changed = (await api.editor.patch(url, json=moved, headers={"If-Match": "*"})).json()
    assert (changed["key"], changed["article_key"]) == ("XX-CC-343-1", "XX-CC-343")
    under = (await api.public.get("/v1/statutes?statute=XX-CC-343")).json()["items"]
    assert [s["key"] for s in under] == ["XX-CC-343", "XX-CC-343-1"]
