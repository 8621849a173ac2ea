"""A small registry for the safety tests: something of every kind that all may see, and more of it that they may not."""

from typing import Any

import httpx

from tests.factories import PUBLIC, make

Ids = dict[str, list[str]]


async def visible(editor: httpx.AsyncClient, level: str = "public") -> dict[str, dict[str, Any]]:
    """Record two of every kind, tied to one another, at one level; return the second of each."""
    at: dict[str, Any] = {**PUBLIC, "level": level}
    made: dict[str, dict[str, Any]] = {}
    for n in ("1", "2"):
        ref: dict[str, str] = {kind: record["id"] for kind, record in made.items()}

        async def add(
            what: str, at: dict[str, Any] = at, n: str = n, ref: dict[str, str] = ref, /, **fields: Any
        ) -> str:
            made[what] = await make(
                editor, what, **{**at, "origin": f"base-{level}", "origin_id": f"{what}-{n}"}, **fields
            )
            ref[what] = made[what]["id"]
            return ref[what]

        place = await add(
            "places", kind="city", code=f"XX-{level}-{n}", names=[{"text": f"Place {n}"}], parent=ref.get("places")
        )
        organisation = await add(
            "organisations", names=[{"text": f"Watch {n}"}], place=place, parent=ref.get("organisations")
        )
        source = await add("sources", title=f"Report {n}", publisher=organisation, published=f"2024-0{n}")
        cites: dict[str, Any] = {"citations": [{"source": source, "page": n}]}
        code = {"public": "CC", "partner": "AC", "restricted": "PC"}[level]
        statute = await add(
            "statutes", code=code, article=n, titles=[{"text": f"Article {n}", "language": "en"}], **cites
        )
        person = await add(
            "persons",
            names=[{"text": f"Vera Example {n}", "source": source}, {"text": f"В. {n}"}],
            sex="female",
            groups=["journalist"],
            born=f"198{n}",
            affiliations=[{"organisation": organisation, "role": "editor"}],
            **cites,
        )
        case = await add(
            "cases",
            court=organisation,
            parent=ref.get("cases"),
            judges=[person],
            decided=f"2024-0{n}-01",
            charges=[{"person": person, "statute": statute, "status": "convicted", "date": f"2024-0{n}"}],
            sentences=[
                {"person": person, "outcome": "convicted", "components": [{"kind": "imprisonment", "years": 2}]}
            ],
            **cites,
        )
        await add(
            "events",
            date=f"2024-0{n}-02",
            place=place,
            facility=organisation,
            case=case,
            statutes=[statute],
            description=f"What happened {n}",
            participants=[{"person": person, "role": "victim"}, {"count": 20, "label": "neighbours", "role": "victim"}],
            **cites,
        )
        await add("statuses", kind="in_custody", person=person, start="2024-01-02", facility=organisation, **cites)
        await add(
            "figures", value="10", measure="events", originator=organisation, source=source, base=ref.get("figures")
        )
    return made


PART_OF = {
    "places": ("names", {"text": "HIDDEN town"}),
    "organisations": ("names", {"text": "HIDDEN watch"}),
    "sources": (None, None),
    "statutes": ("titles", {"text": "HIDDEN title"}),
    "persons": ("names", {"text": "HIDDEN alias"}),
    "cases": ("charges", {"status": "charged", "count": 3, "label": "HIDDEN group"}),
    "events": ("participants", {"role": "victim", "count": 3, "label": "HIDDEN group"}),
    "statuses": (None, None),
    "figures": (None, None),
}
"""Resource → a part that can be hidden, and the least that it needs."""


async def change(editor: httpx.AsyncClient, kind: str, record_id: str, /, **fields: Any) -> dict[str, Any]:
    """Patch a record as it now is and return it."""
    url = f"/v1/{kind}/{record_id}"
    answer = await editor.patch(url, json=fields, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def hide_more(editor: httpx.AsyncClient, made: dict[str, dict[str, Any]], level: str) -> None:
    """Add what only those above may see: records, parts before the visible ones, edits and deletions of these."""
    hidden = await visible(editor, level)
    for kind, record in made.items():
        part, least = PART_OF[kind]
        now = (await editor.get(f"/v1/{kind}/{record['id']}")).json()
        secret = {"source": hidden["sources"]["id"], "page": "HIDDEN", "level": level}
        fields: dict[str, Any] = {"citations": [secret, *now["citations"]]}
        if part is not None and least is not None:
            fields[part] = [{**least, "level": level}, *now[part]]
        once = await change(editor, kind, record["id"], **fields)
        # An edit to the hidden part, and then one that removes it from half of the records.
        again = [{**once["citations"][0], "page": "HIDDEN still"}, *once["citations"][1:]]
        await change(editor, kind, record["id"], citations=again)
        if kind in {"persons", "places", "figures"}:
            await change(editor, kind, record["id"], citations=again[1:])
    extra = await visible_extra(editor, made, level)
    for kind, record_id in extra[::2]:
        gone = await editor.delete(f"/v1/{kind}/{record_id}", headers={"If-Match": "*"})
        assert gone.status_code == 204, gone.text


async def visible_extra(
    editor: httpx.AsyncClient, made: dict[str, dict[str, Any]], level: str
) -> list[tuple[str, str]]:
    """Record hidden things that name the visible ones; half of them are deleted again."""
    ref = {kind: record["id"] for kind, record in made.items()}
    added = []
    for n in range(2):
        at = {**PUBLIC, "level": level}
        for kind, fields in (
            ("events", {"participants": [{"person": ref["persons"], "role": "victim"}], "date": "2024-02-02"}),
            ("statuses", {"person": ref["persons"], "kind": "political_prisoner", "start": "2020"}),
            ("places", {"parent": ref["places"], "code": f"HID-{n}"}),
            ("cases", {"parent": ref["cases"], "judges": [ref["persons"]]}),
            ("figures", {"base": ref["figures"], "source": ref["sources"]}),
        ):
            added.append((kind, (await make(editor, kind, **at, **fields))["id"]))
    return added
