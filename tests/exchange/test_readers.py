"""Files that were made to break readers: the right values, or a named rejection."""

import contextlib
import gzip
import json
import re
import time
import tracemalloc
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.exchange.console import ExchangeError, ImportOptions, run_import
from app.exchange.mapping import MappingError
from app.exchange.readers import Form, ReadError, Row, read
from tests.conftest import Api
from tests.exchange.data import data


def rows_of(path: Path, **form: Any) -> list[Row]:
    return list(read(path, Form(**form)))


def values(path: Path, **form: Any) -> list[dict[str, Any]]:
    found = rows_of(path, **form)
    assert [r.problem for r in found if r.problem] == []
    return [r.cells for r in found]


def test_csv_spectrum() -> None:
    files = sorted(data("csv-spectrum/csvs").glob("*.csv"))
    assert len(files) == 11
    for path in files:
        expected = json.loads((path.parent.parent / "json" / f"{path.stem}.json").read_text(encoding="utf-8"))
        found = values(path)
        if path.stem == "newlines_crlf":  # its JSON has the line break inside the cell as LF, the file as CRLF
            found = [{k: v.replace("\r\n", "\n") for k, v in r.items()} for r in found]
            expected = [{k: v.replace("\r\n", "\n") for k, v in r.items()} for r in expected]
        assert found == expected, path.name


def test_csv_test_data_that_is_good() -> None:
    files = [p for p in sorted(data("csv-test-data/csv").glob("*.csv")) if not p.stem.startswith("bad-")]
    assert len(files) == 18
    for path in files:
        expected = json.loads((path.parent.parent / "json" / f"{path.stem}.json").read_text(encoding="utf-8"))
        if path.stem == "all-empty":
            with pytest.raises(ReadError, match="header"):
                rows_of(path)
        elif expected and isinstance(expected[0], list):  # no header there: ours is the first row
            header, *rest = expected
            assert [list(r.values()) for r in values(path)] == rest, path.name
            assert header
        else:
            assert values(path) == expected, path.name


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("bad-header-less-fields", "cells, the header"),
        ("bad-header-more-fields", "cells, the header"),
        ("bad-header-no-header", "no header"),
        ("bad-missing-quote", "never closed"),
        ("bad-quotes-with-unescaped-quote", "quote"),
        ("bad-unescaped-quote", "quote"),
    ],
)
def test_csv_test_data_that_is_bad_is_named(name: str, problem: str) -> None:
    path = data(f"csv-test-data/csv/{name}.csv")
    try:
        problems = [r.problem or "" for r in rows_of(path)]
    except ReadError as error:
        problems = [str(error)]
    assert any(problem in p for p in problems), problems


def test_json_parsing() -> None:
    accepted, refused = 0, 0
    for path in sorted(data("json-parsing-nst/test_parsing").glob("*.json")):
        try:
            found = rows_of(path, format="json", encoding="utf-8")
            bad = any(r.problem for r in found)
        except ReadError:
            bad = True
        accepted, refused = accepted + (not bad), refused + bad
        if path.stem.startswith("n_"):
            assert bad, path.name
        elif path.stem.startswith("y_object") and "duplicated" not in path.stem and "surrogate" not in path.stem:
            assert not bad, path.name
    assert accepted > 10
    assert refused > 150


def test_json_values_in_a_row_are_right_or_named(tmp_path: Path) -> None:
    root = data("json-parsing-nst")
    files = sorted([*(root / "test_parsing").glob("*.json"), *(root / "test_transform").glob("*.json")])
    named, right = [], 0
    for path in files:
        (tmp_path / "a.json").write_bytes(b'[{"v": ' + path.read_bytes() + b"}]")
        try:
            (row,) = rows_of(tmp_path / "a.json", encoding="utf-8")
        except (ReadError, ValueError):  # not UTF-8, or no longer one row
            named.append(path.stem)
            continue
        if row.problem:
            named.append(path.stem)
            continue
        right += 1
        exact = json.loads(path.read_bytes(), parse_float=Decimal)
        assert json.loads(json.dumps(row.cells["v"]), parse_float=Decimal) == exact, path.name
        assert not path.stem.startswith("n_"), path.name
    assert right > 90
    refused = {n for n in named if n.startswith("y_")}
    assert {n for n in refused if "duplicated" not in n} == set(), refused
    altered = {"number_1.000000000000000005", "number_1e-999", "object_same_key_different_values"}
    assert altered <= set(named)


def test_text_in_utf_16_is_read_by_its_mark(tmp_path: Path) -> None:
    real = data("encoding-utf16/utf-16.txt").read_bytes()
    (tmp_path / "a.csv").write_bytes(real)
    assert next(iter(rows_of(tmp_path / "a.csv")), Row(1)).problem is None
    assert real.decode("utf-16")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1251"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_dialect(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    rows = [["імя", "год"], ["Тихановский, С.", "2020"], ['"Вясна"; |\t', ""]]
    if encoding == "cp1251":
        rows = [[c.replace("і", "i") for c in r] for r in rows]
    text = end.join(delimiter.join('"' + c.replace('"', '""') + '"' for c in r) for r in rows) + end
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(text.encode(encoding)))
    expected = [dict(zip(rows[0], r, strict=True)) for r in rows[1:]]
    assert values(tmp_path / "a.csv") == values(tmp_path / "b.csv.gz") == expected


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.csv.gz", gzip.compress(b"a,b\n1,2\n" * 10_000, mtime=0)[:60], "cut short|cannot be read"),
        ("a.csv", b"a,a\n1,2\n", "twice"),
        ("a.csv", b"a,\n1,2\n", "without a name"),
        ("a.csv", b"", "no header"),
        ("a.json", b"[{}", "goes on|cut short"),
        ("a.json", b"[{}] x", "after the end"),
        ("a.json", b"17", "neither"),
        ("a.xlsx", b"PK", "format"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, word: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReadError, match=word):
        rows_of(tmp_path / name)


@pytest.mark.parametrize(("begin", "word"), [("x", "read$"), ('"', "is a quote never closed")])
def test_a_row_of_any_length_is_named_and_not_read_whole(tmp_path: Path, begin: str, word: str) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"a,b\n1,2\n{begin}{'x' * 40_000_000}\n3,4\n".encode()))
    tracemalloc.start()
    found = rows_of(tmp_path / "a.csv.gz", encoding="utf-8")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(r.line, r.cells) for r in found] == [(2, {"a": "1", "b": "2"}), (3, {})]
    assert re.search(f"nothing after it was {word}|nothing after it was read; {word}", found[1].problem or "")
    assert peak < 20_000_000


def test_a_quote_never_closed_before_many_short_lines_takes_no_longer_than_reading_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n1,"2\n' + "x,y\n" * 240_000)
    started = time.process_time()
    (row,) = rows_of(tmp_path / "a.csv")
    assert row.problem == "a quote is opened and never closed; nothing after it was read"
    assert time.process_time() - started < 5


def test_json_is_read_in_pieces_wherever_these_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    items = [{"a": 'x,]}"\\ {', "b": [1, {"c": "é\n"}]}, {"a": None}, {}]
    (tmp_path / "a.json").write_text(json.dumps(items, indent=1, ensure_ascii=False))
    for size in range(1, 40):
        monkeypatch.setattr("app.exchange.readers.CHUNK", size)
        assert [r.cells for r in read(tmp_path / "a.json", Form(encoding="utf-8"))] == items


def test_rows_know_the_line_they_begin_on(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n1,"x\ny"\n2,3,4\n\n5,6\n')
    assert [(r.line, r.problem is None) for r in rows_of(tmp_path / "a.csv")] == [(2, True), (4, False), (6, True)]
    (tmp_path / "a.json").write_text('[\n{"a": 1},\n\n{"a":\n2}]')
    assert [r.line for r in rows_of(tmp_path / "a.json")] == [2, 4]


@pytest.mark.anyio
async def test_naughty_strings_come_in_as_they_are_or_are_rejected_by_name(
    api: Api, owner: asyncpg.Connection, tmp_path: Path
) -> None:
    naughty = json.loads(data("naughty-strings/blns.json").read_text(encoding="utf-8"))
    (tmp_path / "own.toml").write_text(
        'name = "own"\norigin = "own"\n[identity]\ncolumns = ["n"]\n[values]\nn = {}\ntext = {}\n[[records]]\n'
        'name = "person"\nresource = "persons"\nid = "{n}"\nfields = { names = [{ text = "$text" }] }\n'
    )
    rows = [json.dumps({"n": n, "text": text}) for n, text in enumerate(naughty)]
    (tmp_path / "own.ndjson").write_text("\n".join(rows))
    options = ImportOptions(str(tmp_path / "own.toml"), report=tmp_path / "report")
    outcome = await run_import(api.site.url, api.site.settings(), tmp_path / "own.ndjson", options)
    assert outcome.created["persons"] + outcome.rejected == len(naughty)
    assert outcome.created["persons"] > 480
    kept = await owner.fetch("SELECT p.origin_id, n.text FROM persons p JOIN person_names n ON n.person_id = p.id")
    for row in kept:
        assert row["text"] == unicodedata.normalize("NFC", naughty[int(row["origin_id"])]).strip()
    for line in (tmp_path / "report").read_text().splitlines():
        assert json.loads(line)["column"] == "person.names.0.text"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "form", "count"),
    [
        ("csv-spectrum/csvs", "csv", 11),
        ("csv-test-data/csv", "csv", 25),
        ("json-parsing-nst/test_transform", "json", 22),
        ("json-parsing-nst/test_parsing", "json", 318),
        ("json-parsing-nst/test_parsing", "ndjson", 318),
    ],
)
async def test_whatever_file_is_imported_each_row_is_taken_or_named(
    api: Api, tmp_path: Path, name: str, form: str, count: int
) -> None:
    """The values of the first column become names; a file that cannot be read is refused in one line."""
    files = sorted(data(name).iterdir())
    assert len(files) == count
    report, refused = tmp_path / "report", []
    for path in files:
        columns: list[str] = []
        with contextlib.suppress(ReadError):
            columns = list(dict.fromkeys(c for r in read(path, Form(form)) for c in r.cells))
        (tmp_path / "own.toml").write_text(
            f'name = "own"\norigin = "own"\nformat = "{form}"\nignore = {json.dumps(columns[1:])}\n'
            f'[identity]\nrepeats = "separate"\n[values]\nx = {{ column = {json.dumps((columns or ["x"])[0])} }}\n'
            '[[records]]\nname = "person"\nresource = "persons"\nwhen = ["x"]\nfields = { names = [{ text = "$x" }] }\n'
        )
        try:
            options = ImportOptions(str(tmp_path / "own.toml"), dry=True, report=report)
            outcome = await run_import(api.site.url, api.site.settings(), path, options)
        except (ReadError, MappingError, ExchangeError) as error:
            refused.append(str(error))
            continue
        told = report.read_text().splitlines() if report.exists() else []
        assert all(json.loads(line)["problem"] for line in told), path.name
        assert outcome.rejected == len(told), path.name
        assert outcome.rows == outcome.created["persons"] + outcome.rejected, path.name
    assert [told for told in refused if "\n" in told] == []
