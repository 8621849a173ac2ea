"""The mirror of docs/sync.md is kept as the page says, and its table names the feed's errors as they are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core import errors
from tests.conftest import Server
from tests.factories import MINIMAL, PUBLIC

PAGE = (Path(__file__).parents[2] / "docs" / "sync.md").read_text()


@pytest.fixture
def mirror(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Run the page's Python, which keeps its database where it is called, for a partner of this server."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    code = code.replace("https://chronika.example.org", server.url).replace("chr_…", server.site.keys["partner"])
    code = code.replace('"wait": 30', '"wait": 0')
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 -- the documentation's own example
    yield names
    names["http"].close()
    names["db"].close()


def held(mirror: dict[str, Any]) -> dict[str, str]:
    return dict(mirror["db"].execute("SELECT id, data FROM records").fetchall())


def shown(server: Server) -> set[str]:
    headers = server.site.headers("partner")
    return {i["id"] for i in httpx.get(f"{server.url}/v1/persons?limit=200", headers=headers).json()["items"]}


def test_the_python_of_the_page_keeps_a_mirror(server: Server, mirror: dict[str, Any]) -> None:
    body = {**MINIMAL["persons"], **PUBLIC}
    with httpx.Client(base_url=server.url, headers={**server.site.headers("editor"), "If-Match": "*"}) as editor:
        one, two, three = [editor.post("/v1/persons", json=body).json()["id"] for _ in "123"]
        mirror["follow"]()
        assert {one, two, three} <= held(mirror).keys()
        editor.patch(f"/v1/persons/{one}", json={"summary": "Changed."}).raise_for_status()
        editor.patch(f"/v1/persons/{two}", json={"level": "restricted"}).raise_for_status()
        editor.delete(f"/v1/persons/{three}").raise_for_status()
        four = editor.post("/v1/persons", json={**body, "level": "partner"}).json()["id"]
        for _ in range(5):
            mirror["follow"]()
        assert "Changed." in held(mirror)[one]
        assert {two, three} & held(mirror).keys() == set()
        assert {one, four} <= held(mirror).keys()
        assert shown(server) <= held(mirror).keys()
        # The page has it confirm what it stored, so the editors see that this partner holds nothing withdrawn.
        unconfirmed = editor.get("/v1/changes/unconfirmed").json()["items"]
        waiting = {(i["id"], p["name"]) for i in unconfirmed for p in i["partners"]}
        assert {(two, "partner"), (three, "partner")} & waiting == set()
        assert {(two, "other_partner"), (three, "other_partner")} <= waiting
        # A cursor of no more use: it begins again, and holds nothing that is not in the snapshot.
        public = httpx.get(f"{server.url}/v1/snapshot").text.partition("\n")[0]
        with mirror["db"]:
            mirror["db"].execute("UPDATE place SET cursor = ?", [re.findall(r'"cursor": "([^"]+)"', public)[0]])
            mirror["db"].execute("INSERT INTO records VALUES ('stale', 'person', '{}')")
        mirror["follow"]()
        assert "stale" not in held(mirror)
        assert shown(server) <= held(mirror).keys()


def test_the_page_names_every_error_of_the_feed_with_its_status() -> None:
    section = PAGE.partition("## What an error asks you to do")[2].partition("Of the rows")[0]
    listed = {(int(s), t) for s, t in re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", section, re.MULTILINE)}
    known = {(k.status, k.slug) for k in errors.KINDS}
    assert listed <= known
    feed = {k for k in known if k[0] == 410 and k[1] != "gone"} | {(400, "cursor-required"), (400, "invalid-cursor")}
    assert feed <= listed
