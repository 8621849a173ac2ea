"""A partner's mirror, as docs/sync.md tells to keep one: what tests hold against what the server would show."""

import hashlib
import json
from typing import Any

import httpx

RANK = {"public": 0, "partner": 1, "restricted": 2}


class Mirror:
    """A copy of what one caller may see, kept with the snapshot and the feed."""

    def __init__(self, client: httpx.AsyncClient, ceiling: int, **selection: Any) -> None:
        """Begin empty; `ceiling` is the strictest level that the caller may ever be shown."""
        self.client, self.ceiling, self.selection = client, ceiling, selection
        self.records: dict[str, dict[str, Any]] = {}
        self.cursor = ""
        self.versions: dict[str, int] = {}
        self.pages: list[dict[str, Any]] = []

    def apply(self, item: dict[str, Any]) -> None:
        """Store one item, and check that it is nothing that this caller may not hold."""
        if item["op"] == "upsert":
            assert_within(item["data"], self.ceiling)
            assert item["version"] == item["data"]["version"]
            assert item["version"] >= self.versions.get(item["id"], 0), "versions never go back"
            self.versions[item["id"]] = item["version"]
            self.records[item["id"]] = item["data"]
        else:
            assert "data" not in item
            self.records.pop(item["id"], None)

    async def start(self) -> None:
        """Begin again from the snapshot."""
        answer = await self.client.get("/v1/snapshot", params=self.selection)
        assert answer.status_code == 200, answer.text
        lines = answer.content.splitlines(keepends=True)
        end = json.loads(lines[-1])
        assert end == {"end": True, "count": len(lines) - 2, "sha256": hashlib.sha256(b"".join(lines[:-1])).hexdigest()}
        self.records = {}
        for line in lines[1:-1]:
            self.apply(json.loads(line))
        self.cursor = json.loads(lines[0])["cursor"]

    async def page(self, limit: int = 100, *, keep: bool = True, **more: Any) -> dict[str, Any]:
        """Read a page; unless `keep`, lose it, as a crash before storing would."""
        parameters = {"cursor": self.cursor, "limit": limit, **self.selection, **more}
        answer = await self.client.get("/v1/changes", params=parameters)
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.json()
        assert [i["seq"] for i in page["items"]] == sorted({i["seq"] for i in page["items"]})
        if keep:
            for item in page["items"]:
                self.apply(item)
            self.cursor = page["cursor"]
            self.pages.append(page)
        return page

    async def drain(self, limit: int = 100) -> list[dict[str, Any]]:
        """Read to the end and return the items."""
        items: list[dict[str, Any]] = []
        while True:
            page = await self.page(limit)
            items += page["items"]
            if not page["has_more"]:
                return items


def assert_within(data: Any, ceiling: int) -> None:
    """Check that nothing in a record is above a level."""
    if isinstance(data, dict):
        for name in ("level", "effective_level"):
            assert RANK[data.get(name, "public")] <= ceiling
        for value in data.values():
            assert_within(value, ceiling)
    elif isinstance(data, list):
        for value in data:
            assert_within(value, ceiling)
