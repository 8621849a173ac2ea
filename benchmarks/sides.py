"""The two sides of a row: load on the service from wrk, and the same SQL under pgbench or psql."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.place import Api, Place, Size

LUA = """
local urls, n = {}, START
for line in io.lines("URLS") do urls[#urls + 1] = line end
request = function()
  n = n % #urls + 1
  return wrk.format(nil, urls[n])
end
"""


class Load(NamedTuple):
    """What a load found: answers per second, and the generator's own processor time for each in microseconds."""

    rate: float
    own: float


def load(  # noqa: PLR0913 -- what a load is
    api: Api, headers: dict[str, str], urls: list[str], start: int, *, clients: int, seconds: float, body: str = ""
) -> Load:
    """Ask for the URLs in turn, or POST a body to them, as fast as answers come, over so many connections at once."""
    with tempfile.TemporaryDirectory() as folder:
        listed, script = Path(folder) / "urls", Path(folder) / "script.lua"
        listed.write_text("\n".join(urls))
        posted = f"wrk.method, wrk.body = 'POST', [==[{body}]==]\n" if body else ""
        script.write_text(posted + LUA.replace("URLS", str(listed)).replace("START", str(start % len(urls))))
        given = [a for k, v in headers.items() for a in ("-H", f"{k}: {v}")]
        if wrk := shutil.which("wrk"):
            times = [f"-c{clients}", "-t1", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
            command = [wrk, *times, "-s", str(script), *given, api.url]
        else:
            own = [sys.executable, "-m", "benchmarks.client"]
            command = [*own, str(api.port), str(listed), str(start), str(clients), str(seconds), *given, "--body", body]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603
        assert process.stdout is not None  # noqa: S101 -- asked for
        out = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = status
    done, rate = re.search(r"(\d+) requests in", out), re.search(r"Requests/sec:\s+([\d.]+)", out)
    if status or done is None or rate is None or "Non-2xx" in out or "Socket errors" in out:
        msg = f"the load failed: {out}"
        raise RuntimeError(msg)
    return Load(float(rate[1]), (used.ru_utime + used.ru_stime) / max(int(done[1]), 1) * 1e6)


def pgbench(place: Place, role: str, script: str, *, clients: int, seconds: float) -> float:
    """Run a script with prepared statements as a login, over so many connections; return how often per second.

    The first seconds do not count: each connection plans anew until PostgreSQL settles on a plan that it keeps.
    """
    counted = max(1, round(seconds))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "script.sql"
        path.write_text(script)
        how = ["-n", "-M", "prepared", f"-c{clients}", "-j1", "-P1", f"-T{counted + min(2, counted)}", f"-f{path}"]
        out = place.program("pgbench", role, *how, stderr=True)
    rates = [float(r) for r in re.findall(r"progress: [\d.]+ s, ([\d.]+) tps", out)]
    if len(rates) < counted or not re.search(r"number of failed transactions: 0 ", out):
        msg = f"pgbench failed: {out}"
        raise RuntimeError(msg)
    return sum(rates[-counted:]) / counted


def psql(place: Place, role: str, sql: str, times: int, *, size: Size | None = None) -> list[float]:
    """Run a statement in one session, once before and then so often; return the seconds of each, as psql has them."""
    text = "\\o /dev/null\n\\timing on\n" + f"{sql};\n" * (times + 1)
    out = place.program("psql", role, "-qX", "-v", "ON_ERROR_STOP=1", size=size, stdin=text)
    return [float(ms) / 1000 for ms in re.findall(r"Time: ([\d.]+) ms", out)][1:]


def copied(place: Place, role: str, sql: str, options: str = "", to: Path | None = None) -> float:
    r"""Have psql \\copy what a statement selects, to nowhere unless said; return seconds."""
    text = rf"\timing on{chr(10)}\copy ({' '.join(sql.split())}) TO '{to or os.devnull}' {options}" + "\n"
    out = place.program("psql", role, "-qX", "-v", "ON_ERROR_STOP=1", stdin=text)
    return float(re.findall(r"Time: ([\d.]+) ms", out)[-1]) / 1000


def in_turn(runs: int, ours: Callable[[int], float], limit: Callable[[int], float]) -> tuple[list[float], list[float]]:
    """Measure both sides so often, by turns, so that what slows the machine slows both."""
    pairs = [(ours(n), limit(n)) for n in range(runs)]
    return [a for a, _ in pairs], [b for _, b in pairs]
