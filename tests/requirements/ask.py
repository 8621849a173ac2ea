"""Asking the registry over HTTP: whole lists, however long, told by the ids that the sample's records carry."""

from typing import Any

import httpx

Record = dict[str, Any]


async def records(client: httpx.AsyncClient, path: str) -> list[Record]:
    """Return all records of a list, page after page."""
    found: list[Record] = []
    url: str | None = f"{path}{'&' if '?' in path else '?'}limit=200"
    while url is not None:
        answer = await client.get(url)
        assert answer.status_code == 200, f"{url}: {answer.text}"
        page = answer.json()
        found += page["items"]
        url = page["next"]
    return found


async def found(client: httpx.AsyncClient, path: str) -> set[str]:
    """Return the sample's own ids of all records of a list, without the kind that is their first part."""
    return {r["origin_id"].partition("/")[2] for r in await records(client, path)}


def having(part: list[Record], **values: Any) -> list[Record]:
    """Return the items of a nested list that have these values; of references the label or key is meant."""

    def value(item: Record, name: str) -> Any:
        got = item[name]
        return got["key"] or got["label"] if isinstance(got, dict) and "label" in got else got

    return [item for item in part if all(value(item, n) == v for n, v in values.items())]
