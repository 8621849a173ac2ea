"""The very SQL that a route runs, taken from what PostgreSQL logs of it, for the side without the service."""

import re
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.place import Api, Place, Size

LINE = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\] (\w+):  (.*)$", re.DOTALL)
RUN = re.compile(r"^duration: [\d.]+ ms  (?:execute [^:]*|statement): (.*)$", re.DOTALL)
PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")
LOGGING = {"log_min_duration_statement": "0", "log_error_verbosity": "default", "log_parameter_max_length": "-1"}


class Statement(NamedTuple):
    """One statement with its parameters as SQL literals, by number."""

    sql: str
    parameters: dict[int, str]

    def with_parameters(self, put: Callable[[str], str] = str) -> str:
        """Return the statement with its parameters in place; `put` may change a literal."""
        return re.sub(r"\$(\d+)", lambda m: put(self.parameters[int(m[1])]), self.sql).rstrip().rstrip(";")


def said(place: Place, role: str, ask: Callable[[Api], object], size: Size | None = None) -> list[Statement]:
    """Return what the login of an audience runs while a fresh process of the service answers `ask`."""
    size = size or place.scale.largest
    login, database = f"chronika_{role}", size.database
    change = f"ALTER ROLE {login} IN DATABASE {database}"
    place.do(";".join(f"{change} SET {name} = '{value}'" for name, value in LOGGING.items()))
    api = place.start(size)
    try:
        log = place.state / "database" / "postgres.log"
        start = log.stat().st_size
        ask(api)
        time.sleep(0.3)
        with log.open("rb") as file:
            file.seek(start)
            text = file.read().decode()
    finally:
        api.process.terminate()
        api.process.wait(30)
        place.do(";".join(f"{change} RESET {name}" for name in LOGGING))
    return read(text)


def read(log: str) -> list[Statement]:
    """Read the statements out of a log; lines that go on begin with a tab."""
    found: list[Statement] = []
    runs = False  # the entries of parsing and binding have details too
    for kind, text in _entries(log):
        if kind == "LOG":
            run = RUN.match(text)
            runs = run is not None
            if run is not None:
                found.append(Statement(run[1], {}))
        elif kind == "DETAIL" and runs:
            for number, literal in PARAMETER.findall(text):
                found[-1].parameters[int(number)] = literal
    return found


def _entries(log: str) -> list[tuple[str, str]]:
    entries: list[tuple[str, str]] = []
    for line in log.split("\n"):
        if match := LINE.match(line):
            entries.append((match[1], match[2]))
        elif line.startswith("\t") and entries:
            entries[-1] = (entries[-1][0], f"{entries[-1][1]}\n{line[1:]}")
    return entries


def longest(statements: list[Statement]) -> Statement:
    """Return the statement that does the work: the longest text."""
    return max(statements, key=lambda s: len(s.sql))
