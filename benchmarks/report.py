"""Writes what was measured: docs/performance.md and its chart."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pygal

from app.statistics.charts import STYLE
from benchmarks.place import SCALES
from benchmarks.results import Kept, Line, number

HEAD = """\
# How fast it is

Written by `python -m benchmarks`, which measures both sides of every line in the same run, by turns; the figures are
medians, and behind a ratio stand its least and its greatest. **Ratios hold, absolute times do not**: they are those of
the machine below.
`python -m benchmarks --help` tells how to run it. The data are those of `chronika synth`: people with five spellings
of their names, events with a victim and a place, a tenth of them not public.

The other side is what the database can do by itself: the same SQL under the same login with the same policies, taken
from what PostgreSQL logs when the route is asked (of searches from what builds it for the route), run by `pgbench` with
prepared statements over as many connections, by `psql`, or on a bare connection; of the feed and exports `\\copy` of
the same records as JSON or CSV; of bulk COPY of validated rows into the same tables by their owner, without versions,
levels and feed. The service is one worker process as `chronika serve` starts it, with a key, on real routes, and no
answer comes from the cache unless the line says so. PostgreSQL is the embedded one with its own settings, and at the
full scale with two fifths of the memory as its own, for all records to lie in; it and the load generator
share the machine with the service. Before records are read one by one, the database is read into memory, as
far as it fits: it is measured as one that has long been in use.
"""

SECTIONS = {
    "Reading": ("list", "detail", "cache"),
    "Statistics": ("statistics",),
    "Names": ("names", "spellings"),
    "Writing": ("post", "bulk", "import"),
    "Long answers": ("feed", "streams"),
    "What the policies cost": ("policies",),
    "How the cost grows": ("growth",),
    "Others on the same data": ("peers",),
}


def write(state: Path, to: Path) -> None:
    """Write the page, with all scales that were measured, and the chart of the largest beside it."""
    kept = {name: Kept(state, name).all() for name in SCALES}
    found = {name: rows for name, rows in kept.items() if rows}
    text = [HEAD, f"![Each line against its goal]({to.stem}.svg)\n", "## The machine\n", machine()]
    for name in reversed(found):
        size = SCALES[name].largest
        text.append(f"\n## {name.capitalize()} scale: {size.persons:,} persons, {size.events:,} events\n")
        for title, rows in SECTIONS.items():
            lines = [line for row in rows for line in found[name].get(row, [])]
            if lines:
                text += [f"### {title}\n", table(lines)]
    to.write_text("\n".join(text).rstrip() + "\n", encoding="utf-8")
    if found:
        chart([x for rows in list(found.values())[-1].values() for x in rows], to.with_suffix(".svg"))


def machine() -> str:
    """Describe the machine."""
    cpu = next(
        (x.split(":")[1].strip() for x in _lines("/proc/cpuinfo") if x.startswith("model name")), platform.machine()
    )
    memory = next((int(x.split()[1]) / 2**20 for x in _lines("/proc/meminfo") if x.startswith("MemTotal")), 0)
    system = f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    return f"{os.cpu_count()} × {cpu}, {memory:.0f} GB of memory, {system}; {datetime.now(UTC):%Y-%m-%d}."


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []


def table(lines: list[Line]) -> str:
    """Write lines as a table, what there is to say of them below it."""
    rows = ["| | the service | the other side | ratio | to reach | |", "|---|---|---|---|---|---|"]
    notes = []
    for line in lines:
        if not line.ours:
            notes.append(f"{line.name}: not measured, {line.note}.")
            continue
        other = f"{number(median(line.other))} {line.unit}, {line.other_is}" if line.other else ""
        ratio = (
            f"**{median(line.ratios):.2f}** ({min(line.ratios):.2f} to {max(line.ratios):.2f})" if line.other else ""
        )
        verdict = {None: "", True: "reached", False: "short"}[line.met]
        ours = f"{number(median(line.ours))} {line.unit}"
        rows.append(f"| {line.name} | {ours} | {other} | {ratio} | {line.goal_text()} | {verdict} |")
        if line.note:
            notes.append(f"{line.name}: {line.note}.")
    return "\n".join([*rows, "", *(f"- {n}" for n in dict.fromkeys(notes))]).rstrip() + "\n"


CUT = 4
"""How many times the goal a bar shows at most."""


def chart(lines: list[Line], to: Path) -> None:
    """Draw each line that has a goal: 1 is the goal, more is better."""
    drawn = []
    for line in lines:
        if line.goal and line.ours:
            found = median(line.judged)
            drawn.append((line.name, line.goal / max(found, line.goal / CUT) if line.at_most else found / line.goal))
    drawing = pygal.HorizontalBar(
        style=STYLE,
        show_legend=False,
        title=f"Measured against the goal: 1 reaches it, more is better (cut at {CUT})",
        height=26 * len(drawn) + 90,
        width=900,
        range=(0, CUT),
        print_values=True,
        value_formatter=lambda v: f"{v:.2f}",
        truncate_label=60,
        disable_xml_declaration=True,
        js=[],
    )
    drawing.x_labels = [name for name, _ in reversed(drawn)]
    drawing.add("", [{"value": min(v, CUT), "formatter": lambda _x, v=v: f"{v:.2f}"} for _, v in reversed(drawn)])
    to.write_text(drawing.render(is_unicode=True), encoding="utf-8")
