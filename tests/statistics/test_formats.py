"""The formats of an answer, each read by a reader that is not ours."""

import io
import json
import re
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import jsonschema
import pandas as pd
import pytest
from pyjstat import pyjstat

from app.statistics.charts import svg
from tests.conftest import Api
from tests.factories import make

pytestmark = pytest.mark.anyio

QUESTIONS = [
    "events?by=month&by=region&from=2023-01-01&to=2024-06-01",
    "events?by=sex",
    "events",
    "persons?by=type&from=2024-01-01&to=2024-02-01",
    "fines",
    "arrest_days?by=year",
    "persons_in_status?at=2024-01-31&by=status&by=sex",
    "persons_in_status?from=2023-01-01&to=2024-06-01&grain=quarter",
    "incidents?by=month&by=type&by=region&from=2024-01-01&to=2024-03-01",
]


async def get(api: Api, question: str, **params: str) -> httpx.Response:
    url = f"/v1/statistics/{question}{'&' if '?' in question else '?'}" + "&".join(
        f"{k}={v}" for k, v in params.items()
    )
    answer = await api.public.get(url)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize("question", QUESTIONS)
async def test_csv_read_by_pandas_is_the_answer(sample: Api, question: str) -> None:
    body = (await get(sample, question)).json()
    answer = await get(sample, question, format="csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    frame = pd.read_csv(io.StringIO(answer.text))
    rows = body["rows"] if body["by"] else [body["total"]]
    names = [n for n in rows[0] if n != "list" and n not in body["by"]]
    assert frame[names].to_dict("records") == [{n: r[n] for n in names} for r in rows]
    for dimension in body["by"]:
        assert [str(v) for v in frame[dimension]] == [r[dimension] for r in rows]


async def test_no_cell_of_the_csv_is_a_formula(api: Api) -> None:
    place = (await make(api.editor, "organisations", names=[{"text": "=1+1"}]))["id"]
    await make(api.editor, "events", date="2024-01-03", facility=place)
    text = (await get(api, "events?by=facility", format="csv")).text
    assert "'=1+1" in text
    assert not re.search(r'(^|,|")[=+@]', text, re.MULTILINE)


@pytest.mark.filterwarnings("ignore:Shouldn't use this function:DeprecationWarning")  # pyjstat calls its own old parts
@pytest.mark.parametrize("question", QUESTIONS)
async def test_json_stat_read_by_a_reader_of_json_stat_is_the_answer(sample: Api, question: str) -> None:
    body = (await get(sample, question)).json()
    text = (await get(sample, question, format="json-stat")).text
    frame = pyjstat.Dataset.read(text).write("dataframe", naming="id")
    rows = body["rows"] if body["by"] else [body["total"]]
    names = [n for n in rows[0] if n != "list" and n not in body["by"]]
    found = {
        (*(r[d] for d in body["by"]), r["count"]): r["value"]
        for r in frame.to_dict("records")
        if not pd.isna(r["value"])
    }
    assert found == {(*(r[d] for d in body["by"]), n): r[n] for r in rows for n in names}


@pytest.mark.parametrize(
    ("question", "lang"), [*((q, "en") for q in QUESTIONS), (QUESTIONS[0], "be"), (QUESTIONS[0], "ru")]
)
async def test_the_vega_lite_specification_is_valid(sample: Api, question: str, lang: str) -> None:
    schema = json.loads((files("altair") / "vegalite/v6/schema/vega-lite-schema.json").read_text())
    valid = jsonschema.Draft7Validator(schema).is_valid
    found: dict[str, Any] = (await get(sample, question, format="vega-lite", lang=lang)).json()
    assert found["$schema"].rsplit("/", 1)[1] == "v6.json"
    assert valid(found)
    assert not valid({**found, "mark": {"type": "portrait"}})


@pytest.mark.parametrize("question", QUESTIONS)
async def test_the_picture_is_an_svg_that_runs_and_fetches_nothing(sample: Api, question: str) -> None:
    answer = await get(sample, question, format="svg", lang="be")
    assert answer.headers["content-type"] == "image/svg+xml"
    root = ET.fromstring(answer.content)  # noqa: S314 -- our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not [e for e in root.iter() if e.tag.endswith(("script", "image", "foreignObject"))]
    assert not re.search(r"@import|url\(\s*['\"]?http|href=['\"]http", answer.text)


def drawn_texts(root: ET.Element) -> list[tuple[str, float, float]]:
    """Return every text of a picture with where it stands, by its own place and that of all groups around it."""
    found = []

    def look(element: ET.Element, x: float, y: float) -> None:
        moved = re.match(r"translate\(([-\d.]+)[, ]+([-\d.]+)\)", element.get("transform", ""))
        x, y = (x + float(moved[1]), y + float(moved[2])) if moved else (x, y)
        if element.tag.endswith("text"):
            found.append(("".join(element.itertext()), x + float(element.get("x", 0)), y + float(element.get("y", 0))))
        for child in element:
            look(child, x, y)

    look(root, 0, 0)
    return found


@pytest.mark.parametrize("series", [1, 2, 5, 12])
@pytest.mark.parametrize("periods", [3, 24])
def test_nothing_that_a_picture_says_stands_outside_of_it(series: int, periods: int) -> None:
    for second in ("month", "sex"):
        rows = [
            {"type": f"kind {s}", second: f"2024-{p:02}", "value": s + p, "min": 0, "max": 99}
            for s in range(series)
            for p in range(periods)
        ]
        answer = {"measure": "events", "unit": "events", "by": ["type", second], "rows": rows, "labels": {}}
        root = ET.fromstring(svg({**answer, "total": None, "known_at": "2024-02-06"}, {"en": "events"}, "en"))  # noqa: S314
        width, height = float(root.get("width", 0)), float(root.get("height", 0))
        texts = drawn_texts(root)
        assert any("2024-02-06" in text for text, _, _ in texts)
        assert series == 1 or sum("kind" in text for text, _, _ in texts) >= series
        assert [t for t in texts if not (0 <= t[1] <= width and 8 <= t[2] <= height - 5)] == []


async def test_labels_are_in_the_language_asked_for(sample: Api) -> None:
    for lang, title, word in (("en", "events", "female"), ("be", "падзеі", "жан"), ("ru", "события", "жен")):
        text = "".join(ET.fromstring((await get(sample, "events?by=sex", format="svg", lang=lang)).content).itertext())  # noqa: S314
        assert title in text
        assert word in text.lower()
        labels = (await get(sample, "events?by=sex", lang=lang)).json()["labels"]["sex"]
        assert word in labels["female"].lower()


async def test_accept_asks_for_a_format_too(sample: Api) -> None:
    for accept, kind in (("text/csv", "text/csv"), ("image/svg+xml", "image/svg+xml"), ("*/*", "application/json")):
        answer = await sample.public.get("/v1/statistics/events?by=year", headers={"Accept": accept})
        assert answer.headers["content-type"].startswith(kind)
        again = {"If-None-Match": answer.headers["etag"], "Accept": accept}
        assert (await sample.public.get("/v1/statistics/events?by=year", headers=again)).status_code == 304


def test_json_stat_counts_cells_in_row_major_order() -> None:
    from app.statistics.formats import as_json_stat  # noqa: PLC0415

    rows = [{"month": m, "sex": s, "value": n, "min": 0, "max": 9} for n, (m, s) in enumerate([("a", "x"), ("b", "y")])]
    answer = {"measure": "events", "unit": "events", "by": ["month", "sex"], "rows": rows, "labels": {}, "known_at": ""}
    found = json.loads(as_json_stat(answer, "en", {}))
    assert found["size"] == [2, 2, 3]
    assert found["value"] == [0, 0, 9, None, None, None, None, None, None, 1, 0, 9]
