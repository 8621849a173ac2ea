"""Reads files of other people: CSV of any dialect, JSON and NDJSON, gzipped or not, in whatever encoding they are.

A row comes with the number of the line it begins on. What cannot be read for certain is named and never guessed:
a ragged row is not shifted, a quote in the wrong place not repaired. One row is held in memory at a time.
"""

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO, cast

from app.core.errors import BadJson
from app.core.http import parse_json

MAX_RECORD = 1_000_000
"""Most characters of one row, as of a body over HTTP; a quote that is never closed would take the rest of the file."""

BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
DELIMITERS = ",;\t|"
CHUNK = 1 << 16


class ReadError(Exception):
    """The file as a whole cannot be read; the message is one line."""


@dataclass
class Row:
    """One row: the line it begins on and its cells, or what is wrong with it."""

    line: int
    cells: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None
    of: str = ""
    """In files of our own export the resource."""


@dataclass(frozen=True)
class Form:
    """How a file is written, as far as somebody said so; what is None is found out."""

    format: str | None = None
    encoding: str | None = None
    delimiter: str | None = None


def open_file(path: Path) -> BinaryIO:
    """Open a file for its bytes, unpacked where it is gzipped."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise ReadError(f"cannot open {path}: {error.strerror}") from None
    if file.read(2) == b"\x1f\x8b":
        file.close()
        return cast("BinaryIO", gzip.open(path, "rb"))
    file.seek(0)
    return file


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a gzipped file into `ReadError`."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ReadError(f"{path.name} is cut short or damaged: {error}") from None


def _decodes(path: Path, encoding: str) -> bool:
    """Tell whether the whole file is text in an encoding, in pieces."""
    decoder = codecs.getincrementaldecoder(encoding)()
    with open_file(path) as file, unpacking(path):
        try:
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def encoding_of(path: Path) -> str:
    """Tell the encoding: by its byte order mark, by its zero bytes, else UTF-8 if all of it is, else Windows-1251."""
    try:
        with open_file(path) as file, unpacking(path):
            start = file.read(4096)
        for mark, name in BOMS:
            if start.startswith(mark):
                found = name
                break
        else:
            even, odd = start[0::2].count(0), start[1::2].count(0)
            if max(even, odd) > len(start) // 8:
                found = "utf-16-be" if even > odd else "utf-16-le"
            else:
                found = "utf-8" if _decodes(path, "utf-8") else "cp1251"
        if not _decodes(path, found):
            raise ReadError(f"{path.name} is not text: it begins as {found} and does not go on so")
    except OSError as error:
        raise ReadError(f"{path.name} cannot be read: {error.strerror}") from None
    return found


# --- CSV ----------------------------------------------------------------------------------------------


def _lines(text: io.TextIOBase) -> Iterator[tuple[int, str, str | None]]:
    """Yield each record as text with the line it begins on; a line break inside quotes does not end it."""
    number, started, size, quotes = 0, 0, 0, 0
    parts: list[str] = []
    while line := text.readline(MAX_RECORD + 1 - size):
        number += 1
        if not parts:
            started = number
        parts.append(line)
        size += len(line)
        quotes += line.count('"')
        if size > MAX_RECORD:
            told = f"longer than {MAX_RECORD:,} characters; nothing after it was read"
            yield started, "", told + ("; is a quote never closed?" if quotes % 2 else "")
            return
        if quotes % 2 == 0:  # every quote is closed: they come in pairs, since a quote inside quotes is doubled
            whole = "".join(parts)
            parts, size, quotes = [], 0, 0
            yield started, whole.removesuffix("\n").removesuffix("\r"), None
    if parts:
        yield started, "", "a quote is opened and never closed; nothing after it was read"


_CELL = '"((?:[^"]|"")*)"|([^"{0}]*)'


def _splitter(delimiter: str) -> Callable[[str], list[str] | None]:
    """Return what splits a record into cells; None for one whose quotes are not where RFC 4180 has them."""
    cell = re.compile(_CELL.format(re.escape(delimiter)))

    def split(record: str) -> list[str] | None:
        if '"' not in record:
            return record.split(delimiter)
        cells, at = [], 0
        while True:
            match = cell.match(record, at)
            if match is None:
                return None
            quoted, plain = match.groups()
            cells.append(plain if quoted is None else quoted.replace('""', '"'))
            at = match.end()
            if at == len(record):
                return cells
            if record[at] != delimiter:
                return None
            at += 1

    return split


def _delimiter_of(header: str) -> str:
    """Return the delimiter that the header has most of, outside quotes."""
    bare = re.sub('"(?:[^"]|"")*"', "", header)
    return max(DELIMITERS, key=lambda d: (bare.count(d), -DELIMITERS.index(d)))


def _read_csv(text: io.TextIOBase, delimiter: str | None) -> Iterator[Row]:
    records = _lines(text)
    number, first, problem = next(records, (1, "", None))
    if problem:
        raise ReadError(f"line {number}, the header: {problem}")
    delimiter = delimiter or _delimiter_of(first)
    split = _splitter(delimiter)
    header = split(first)
    if header is None or not first:
        raise ReadError("there is no header" if not first else f"line {number}: the header's quotes do not match")
    names = [name.strip() for name in header]
    if len(set(names)) < len(names) or ("" in names and len(names) > 1):
        raise ReadError("the header names a column twice, or leaves one without a name")
    for number, record, problem in records:
        if problem:
            yield Row(number, problem=problem)
            continue
        if not record and len(names) > 1:
            continue  # an empty line is no row
        cells = split(record)
        if cells is None:
            yield Row(number, problem="a quote stands where none may: inside a cell without quotes, or after one")
        elif len(cells) != len(names):
            yield Row(number, problem=f"has {len(cells)} cells, the header {len(names)}; nothing was shifted to fit")
        else:
            yield Row(number, dict(zip(names, cells, strict=True)))


# --- JSON ---------------------------------------------------------------------------------------------


def _exact(number: str) -> float:
    """Read a number with a point or an exponent, unless that would make another number of it."""
    value = float(number)
    try:
        if Decimal(number) == Decimal(repr(value)):
            return value
    except InvalidOperation:  # an exponent beyond all bounds
        pass
    raise BadJson("The body holds a number that cannot be kept as it is; write it as text.")


def _object(text: str, line: int) -> Row:
    try:
        value = parse_json(text.encode(), _exact)
    except (BadJson, UnicodeEncodeError) as error:
        reason = error.detail if isinstance(error, BadJson) else "it holds half of a surrogate pair"
        return Row(line, problem=(reason or "").replace("The body", "A row"))
    return Row(line, value) if isinstance(value, dict) else Row(line, problem="is not a JSON object")


def _read_ndjson(text: io.TextIOBase) -> Iterator[Row]:
    number = 0
    while line := text.readline(MAX_RECORD + 1):
        number += 1
        if len(line) > MAX_RECORD:
            yield Row(number, problem=f"longer than {MAX_RECORD:,} characters; nothing after it was read")
            return
        if line.strip():
            yield _object(line, number)


_SPACE = " \t\r\n"


def _read_json(text: io.TextIOBase) -> Iterator[Row]:
    """Yield the items of a JSON array of objects, one at a time; the array itself may be of any length."""
    scan = _Scanner(text)
    first = scan.token()
    if first == "{":
        yield _object(scan.value(), 1)
        _nothing_more(scan)
        return
    if first != "[":
        raise ReadError("it is neither a JSON array of objects nor a JSON object")
    scan.take()
    if scan.token() == "]":
        scan.take()
        _nothing_more(scan)
        return
    while True:
        if scan.token() == "":
            raise ReadError("the JSON array is cut short")
        line = scan.line
        yield _object(scan.value(), line)
        following = scan.token()
        scan.take()
        if following == "]":
            break
        if following != ",":
            raise ReadError(f"line {scan.line}: the JSON array goes on with something other than a comma")
    _nothing_more(scan)


def _nothing_more(scan: "_Scanner") -> None:
    if scan.token() != "":
        raise ReadError(f"line {scan.line}: there is something after the end of the JSON")


_INSIDE = re.compile(r'"(?:[^"\\]|\\.)*+"|["\[\]{},]', re.DOTALL)


class _Scanner:
    """Finds where the values of a JSON text begin and end, reading it in pieces."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text, self._buffer, self._at, self.line = text, "", 0, 1

    def _more(self) -> bool:
        chunk = self._text.read(CHUNK)
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return bool(chunk)

    def token(self) -> str:
        """Return the next character that is no space, without taking it; empty at the end."""
        while True:
            while self._at < len(self._buffer):
                character = self._buffer[self._at]
                if character not in _SPACE:
                    return character
                self.line += character == "\n"
                self._at += 1
            if not self._more():
                return ""

    def take(self) -> None:
        """Take the character that `token` returned."""
        self._at += 1

    def value(self) -> str:
        """Take the whole of the value that begins here, as text."""
        depth, looked = 0, self._at
        while True:
            for match in _INSIDE.finditer(self._buffer, looked):
                mark = match[0]
                if mark == '"':
                    break  # its string goes on beyond what was read so far
                if depth == 0 and mark in ",]}":
                    return self._cut(match.start())
                depth += (mark in "[{") - (mark in "]}")
                looked = match.end()
                if depth == 0 and mark in "]}":
                    return self._cut(looked)
            if len(self._buffer) - self._at > MAX_RECORD:
                raise ReadError(f"line {self.line}: an item is longer than {MAX_RECORD:,} characters")
            looked -= self._at
            if not self._more():
                return self._cut(len(self._buffer))

    def _cut(self, end: int) -> str:
        text = self._buffer[self._at : end]
        self._at = end
        self.line += text.count("\n")
        return text


# --- any ----------------------------------------------------------------------------------------------


def format_of(path: Path) -> str:
    """Tell the format by the file's name; `.gz` after it does not matter."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    formats = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson"}
    if suffix not in formats:
        raise ReadError(f"{path.name}: say its format in the mapping; its name tells none of {', '.join(formats)}")
    return formats[suffix]


def read(path: Path, form: Form) -> Iterator[Row]:
    """Yield the rows of a file; raises `ReadError` where it cannot be read at all."""
    if not path.is_file():
        told = "is no file that can be read more than once; save it as one" if path.exists() else "is not there"
        raise ReadError(f"{path} {told}")
    kind = form.format or format_of(path)
    encoding = form.encoding or encoding_of(path)
    with unpacking(path), open_file(path) as file, io.TextIOWrapper(file, encoding=encoding, newline="") as text:
        try:
            if kind == "csv":
                yield from _read_csv(text, form.delimiter)
            else:
                yield from (_read_json if kind == "json" else _read_ndjson)(text)
        except UnicodeError:
            raise ReadError(f"{path.name} is not {encoding} throughout") from None
        except ReadError as error:
            raise ReadError(f"{path.name}: {error}") from None
