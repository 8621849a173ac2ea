"""The other shipped mappings on their real files, and what a mapping refuses."""

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.exchange import loading
from app.exchange.console import ExchangeError, ImportOptions, run_import
from app.exchange.mapping import MappingError, Values
from tests.conftest import Api
from tests.exchange.data import data

pytestmark = pytest.mark.anyio


async def run(api: Api, path: Path, name: str, report: Path) -> Any:
    return await run_import(api.site.url, api.site.settings(), path, ImportOptions(name, report=report))


async def test_detentions_of_ovdinfo(api: Api, owner: asyncpg.Connection, tmp_path: Path) -> None:
    path = data("ovdinfo-detentions/detentions.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    outcome = await run(api, path, "ovdinfo-detentions", tmp_path / "report")
    told = (tmp_path / "report").read_text().splitlines() if outcome.rejected else []
    assert outcome.rows == len(rows)
    assert outcome.created["events"] + outcome.rejected + outcome.repeated == len(rows)
    assert len(told) == outcome.rejected
    sums = await owner.fetchrow("SELECT sum(count), count(*) FROM participants WHERE role = 'victim'")
    assert sums is not None
    good = [int(r["number_of_detentions"]) for r in rows if r["number_of_detentions"].strip().isdigit()]
    assert outcome.rejected == len(rows) - sum(n > 0 for n in good)
    assert tuple(sums) == (sum(good), sum(n > 0 for n in good))
    sql = "SELECT p.label, n.text FROM events e JOIN participants p ON p.event_id = e.id AND p.role = 'victim'"
    where = "JOIN place_names n ON n.place_id = e.place_id WHERE e.origin_id = $1"
    first = await owner.fetchrow(f"{sql} {where}", rows[0]["Id"])
    assert first is not None
    assert tuple(first) == (f"{rows[0]['event_type']}: {rows[0]['subject']}", rows[0]["place"].strip())
    again = await run(api, path, "ovdinfo-detentions", tmp_path / "report")
    assert (again.created, again.updated) == (Counter(), Counter())


async def test_incidents_of_the_press_freedom_tracker(api: Api, owner: asyncpg.Connection, tmp_path: Path) -> None:
    path = data("us-press-freedom-tracker/incidents.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    outcome = await run(api, path, "us-press-freedom-tracker", tmp_path / "report")
    assert (outcome.rejected, outcome.repeated) == (0, 0)
    assert await owner.fetchval("SELECT count(DISTINCT incident) FROM events") == len(rows) == 1507
    kinds = Counter(k for r in rows for k in set(r["categories"].split(", ")))
    found = await owner.fetch("SELECT ground, count(*) FROM events GROUP BY 1")
    assert {r[0]: r[1] for r in found} == dict(kinds)
    again = await run(api, path, "us-press-freedom-tracker", tmp_path / "report")
    assert (again.created, again.updated) == (Counter(), Counter())


MINIMAL = """
name = "own"
origin = "own"
[values]
name = {}
born = { date = ["%d.%m.%Y", "edtf"] }
sex = { map = { "m" = "male" } }
[[records]]
name = "person"
resource = "persons"
fields = { names = [{ text = "$name" }], born = "$born", sex = "$sex" }
"""


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ("[values\n", "TOML"),
        (MINIMAL.replace("[values]", "[valeus]"), "valeus"),
        (MINIMAL.replace("map =", "table = 'none', map ="), "table"),
        (MINIMAL.replace("name = {}", "name = { pattern = '(' }"), "regular expression"),
        (MINIMAL.replace("name = {}", "name = { pattern = 'a{99999999999}' }"), "regular expression"),
        (
            MINIMAL.replace("name = {}", "name = { replace = [['a', '\\9']] }"),
            "value name: replace: .* group reference",
        ),
        (MINIMAL.replace("name = {}", "name = { replace = [['a', '\\g<b>']] }"), "value name: replace: .* group name"),
        (MINIMAL.replace("name = {}", "name = { find = '(a)(b)' }"), "one group"),
        (MINIMAL.replace("name = {}", "name = { parts = { a = { column = 'b' } } }"), "part a .* no column"),
        (MINIMAL.replace('"%d.%m.%Y"', '"%d.%m"'), "no year"),
        ('encoding = "cp12519"\n' + MINIMAL, "no encoding of text 'cp12519'"),
        ('encoding = "base64"\n' + MINIMAL, "no encoding of text 'base64'"),
        ('delimiter = "::"\n' + MINIMAL, "delimiter is one character"),
        ('extends = "HERE/own.toml"\n' + MINIMAL, "extends itself"),
        (MINIMAL.replace('"$name"', '"$nmae"'), "record person.names.text: there is no value 'nmae'"),
        (MINIMAL.replace('"$name"', '"{Name}"'), "there is no value 'Name'"),
        (MINIMAL.replace('"$name"', '"{name"'), "no record uses the value name"),
        (MINIMAL.replace('"$name"', '"$name.first"'), "no part 'first'"),
        (MINIMAL.replace('"$name"', '"$item"'), "there is no `each` here for 'item'"),
        (MINIMAL.replace('text = "$name"', 'each = "name", text = "$item"'), "each 'name': is no list"),
        (MINIMAL.replace('{ text = "$name"', '{ when = "nmae", text = "$name"'), "there is no value 'nmae'"),
        (MINIMAL.replace("fields =", 'unless = ["nmae"]\nfields ='), "record person: there is no value 'nmae'"),
        (MINIMAL.replace("fields =", 'id = "{nmae}"\nfields ='), "record person: there is no value 'nmae'"),
        (MINIMAL.replace("fields =", 'each = "names"\nid = "a"\nfields ='), "record person: there is no value 'names'"),
        (
            MINIMAL.replace("name = {}", "name = { split = ',' }").replace('"$name"', '"a {name}"'),
            "could stand in a text",
        ),
        (
            MINIMAL.replace("name = {}", "name = { split = ',' }").replace("fields =", 'each = "name"\nfields ='),
            "an `id`",
        ),
        (MINIMAL.replace(', sex = "$sex"', ', sex = "@sex"'), "there is no earlier record '@sex'"),
        (MINIMAL.replace(', sex = "$sex"', ""), "no record uses the value sex"),
        (MINIMAL.replace("sex = {", "row = {}\nsex = {"), "value row: the name has a meaning"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, broken: str, word: str) -> None:
    (tmp_path / "own.toml").write_text(broken.replace("HERE", str(tmp_path)))
    with pytest.raises(MappingError, match=word) as told:
        loading.load(str(tmp_path / "own.toml"))
    assert "\n" not in str(told.value)


async def test_each_over_what_is_no_list_in_one_row_rejects_that_row(api: Api, tmp_path: Path) -> None:
    names = MINIMAL.replace("name = {}", "name = { parts = { text = {} } }")
    names = names.replace('text = "$name"', 'each = "name", text = "$item.text"')
    (tmp_path / "own.toml").write_text(names)
    (tmp_path / "own.ndjson").write_text('{"name": ["Ann", "Anna"]}\n{"name": "Bob"}\n')
    outcome = await run(api, tmp_path / "own.ndjson", str(tmp_path / "own.toml"), tmp_path / "report")
    assert (outcome.created["persons"], outcome.rejected) == (1, 1)
    assert json.loads((tmp_path / "report").read_text()) == {"line": 2, "column": "name", "problem": "is no list"}


async def test_no_column_is_dropped_without_a_word(api: Api, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(MINIMAL)
    (tmp_path / "own.csv").write_text("name,born,sex,phone\nA,2000,m,1\n")
    with pytest.raises(ExchangeError, match="phone"):
        await run(api, tmp_path / "own.csv", str(tmp_path / "own.toml"), tmp_path / "report")
    (tmp_path / "own.csv").write_text("name,born\nA,2000\n")
    with pytest.raises(ExchangeError, match="no column: sex"):
        await run(api, tmp_path / "own.csv", str(tmp_path / "own.toml"), tmp_path / "report")


@pytest.mark.parametrize("name", ["own.ndjson", "own.json"])
async def test_no_key_of_a_later_row_is_dropped_and_a_row_may_leave_keys_out(
    api: Api, owner: asyncpg.Connection, tmp_path: Path, name: str
) -> None:
    def write(rows: list[dict[str, str]]) -> None:
        lines = [json.dumps(r) for r in rows]
        (tmp_path / name).write_text("\n".join(lines) if name == "own.ndjson" else f"[{','.join(lines)}]")

    (tmp_path / "own.toml").write_text(MINIMAL)
    write([{"name": "Ann"}, {"name": "Bob", "born": "1990", "phone": "1"}])
    with pytest.raises(ExchangeError, match="phone"):
        await run(api, tmp_path / name, str(tmp_path / "own.toml"), tmp_path / "report")
    assert await owner.fetchval("SELECT count(*) FROM persons") == 0
    write([{"name": "Ann"}, {"name": "Bob", "born": "1990"}])
    outcome = await run(api, tmp_path / name, str(tmp_path / "own.toml"), tmp_path / "report")
    assert (outcome.created["persons"], outcome.rejected) == (2, 0)
    told_apart = MINIMAL.replace('"persons"', '"persons"\nby = ["nmae"]\nshared = true')
    (tmp_path / "own.toml").write_text(told_apart)
    with pytest.raises(ExchangeError, match="no column: nmae"):
        await run(api, tmp_path / name, str(tmp_path / "own.toml"), tmp_path / "report")


async def test_a_header_that_is_not_the_files_own_is_refused(api: Api, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(MINIMAL)
    real = data("csv-test-data/csv/bad-header-wrong-header.csv").read_text(encoding="utf-8")  # a header alone
    (tmp_path / "own.csv").write_text(real.rstrip("\n") + "\n1,2,3\n")
    with pytest.raises(ExchangeError, match="says nothing of"):
        await run(api, tmp_path / "own.csv", str(tmp_path / "own.toml"), tmp_path / "report")


async def test_a_rejected_row_is_named_and_the_others_come_in(
    api: Api, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "own.toml").write_text(MINIMAL)
    rows = ["Ann,2000,m", "Bob,31.02.2000,m", "Cid,05.03.1990,x", "Dan,1990,m,extra", "\x01,1990,m", "Eve,198X,"]
    (tmp_path / "own.csv").write_text("name,born,sex\n" + "\n".join(rows) + "\n")
    outcome = await run(api, tmp_path / "own.csv", str(tmp_path / "own.toml"), tmp_path / "report")
    report = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    assert [(r["line"], r["column"]) for r in report] == [
        (3, "born"),
        (4, "sex"),
        (5, ""),
        (6, "person.names.0.text"),
    ]
    assert outcome.unknown == Counter({("column sex", "x"): 1})
    kept = await owner.fetch("SELECT born, born_earliest FROM persons ORDER BY born")
    assert [r["born"] for r in kept] == ["198X", "2000"]


async def test_a_row_of_which_nothing_is_recorded_is_named(api: Api, owner: asyncpg.Connection, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(MINIMAL.replace('"persons"', '"persons"\nwhen = ["name"]'))
    (tmp_path / "own.csv").write_text("name,born,sex\n,2000,m\n")
    outcome = await run(api, tmp_path / "own.csv", str(tmp_path / "own.toml"), tmp_path / "report")
    assert (outcome.rows, outcome.rejected) == (1, 1)
    assert "nothing is recorded of it" in (tmp_path / "report").read_text()
    assert await owner.fetchval("SELECT count(*) FROM persons") == 0


async def test_a_mapping_of_ones_own_extends_another_beside_it(api: Api, tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(MINIMAL)
    extended = 'extends = "base.toml"\n[values.sex.map]\n"x" = "other"\n'
    (tmp_path / "own.toml").write_text(extended)
    (tmp_path / "own.csv").write_text("name,born,sex\nA,2000,x\nB,2000,m\n")
    outcome = await run(api, tmp_path / "own.csv", str(tmp_path / "own.toml"), tmp_path / "report")
    assert (outcome.created["persons"], outcome.rejected) == (2, 0)


async def test_what_changed_in_the_file_is_updated_and_only_that(
    api: Api, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    (tmp_path / "own.toml").write_text(MINIMAL.replace("[values]", '[identity]\ncolumns = ["name"]\n[values]'))
    path = tmp_path / "own.csv"
    path.write_text("name,born,sex\nA,2000,m\nB,2000,m\n")
    await run(api, path, str(tmp_path / "own.toml"), tmp_path / "report")
    path.write_text("name,born,sex\nA,2001,m\nB,2000,m\nA,2002,m\n")
    outcome = await run(api, path, str(tmp_path / "own.toml"), tmp_path / "report")
    assert (outcome.updated["persons"], outcome.left["persons"], outcome.rejected) == (1, 1, 1)
    assert [tuple(r) for r in await owner.fetch("SELECT born, version FROM persons ORDER BY 1")] == [
        ("2000", 1),
        ("2001", 2),
    ]


def test_the_mapping_in_the_documentation_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "import.md").read_text(encoding="utf-8")
    first, second = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "own.toml").write_text(first, encoding="utf-8")
    assert loading.load(str(tmp_path / "own.toml")).name == "own-list"
    (tmp_path / "more.toml").write_text(second, encoding="utf-8")
    assert loading.load(str(tmp_path / "more.toml")).tables["articles"].entries["17.3 …"] == "17.3"
    for name in loading.shipped_names():
        assert name in text
        assert loading.load(name).name == name


def test_equal_items_of_a_list_are_as_many_as_they_are_unless_said(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("""
name = "own"
origin = "own"
[values]
name = {}
days = { column = "arrests", split = ';\\s*', pattern = '(\\d+) сут\\.', number = true }
terms = { column = "arrests", split = ';\\s*', distinct = true }
[values.tags]
split = ','
replace = [['^№ ', '']]
ignore = ["-"]
[values.tags.parts]
text = {}
bare = { replace = [['\\W', '']] }
[values.links]
find = '\\w+://\\S+'
[[records]]
name = "person"
resource = "persons"
[records.fields]
summary = "$name"
names = [{ each = "tags", text = "$item.text", script = "$item.bare" }, { each = "links", text = "$item" }]
facts = ["$days", "$terms"]
""")
    values = Values(loading.load(str(tmp_path / "own.toml")), tmp_path)
    cells = {
        "name": "A",
        "arrests": "10 сут.; 10 сут.; 5 сут.",
        "tags": "№ a-b,-",
        "links": "see a://b, a://b and c://d",
    }
    found = values.of(cells)
    assert (found["days"], found["terms"]) == ([10, 10, 5], ["10 сут.", "5 сут."])
    assert found["links"] == ["a://b,", "a://b", "c://d"]
    # A list in JSON goes through the same steps, item by item.
    listed = values.of({**cells, "tags": ["№ a-b", "-", "c, d", "c, d"], "links": ["at a://b", "nowhere"]})
    assert listed["tags"] == [{"text": "a-b", "bare": "ab"}, *[{"text": "c, d", "bare": "cd"}] * 2]
    assert listed["links"] == ["a://b"]
