"""What a row found, and the state folder that keeps it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any


@dataclass
class Line:
    """One line of the table: both sides, run by run, and what their ratio should be.

    `ratio` is ours to the other side's. A goal is a bound with its direction; without one the line only tells.
    """

    name: str
    unit: str
    ours: list[float]
    other: list[float] = field(default_factory=list)
    other_is: str = ""
    goal: float | None = None
    at_most: bool = False
    later: float | None = None
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours to the other side's, run by run."""
        return [a / b for a, b in zip(self.ours, self.other, strict=True)]

    @property
    def judged(self) -> list[float]:
        """What the goal is about: the ratios, or where there is no other side, ours."""
        return self.ratios if self.other else self.ours

    @property
    def met(self) -> bool | None:
        """Whether the median is within the goal; None without one."""
        if self.goal is None or not self.ours:
            return None
        found = median(self.judged)
        return found <= self.goal if self.at_most else found >= self.goal

    def goal_text(self) -> str:
        """Write the goal, and what is to be reached later."""
        sign = "≤" if self.at_most else "≥"
        bounds = [f"{sign} {b:g}" for b in (self.goal, self.later) if b is not None]
        return " → ".join(bounds)

    def text(self) -> str:
        """Write the line for the screen."""
        if not self.ours:
            return f"{self.name}: not measured, {self.note}"
        middle = f"{number(median(self.ours))} {self.unit}"
        if self.other:
            middle += f" against {number(median(self.other))} of {self.other_is}"
            low, high = min(self.ratios), max(self.ratios)
            middle += f"; ratio {median(self.ratios):.2f} ({low:.2f} to {high:.2f})"
        verdict = {None: "", True: "  reached", False: "  short"}[self.met]
        return f"{self.name}: {middle}  {self.goal_text()}{verdict}"


def number(value: float) -> str:
    """Write a value with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004


class Kept:
    """The lines of a scale, in the state folder, by row."""

    def __init__(self, state: Path, scale: str) -> None:
        """Read what is there."""
        self.folder = state / "results" / scale

    def get(self, row: str) -> list[Line] | None:
        """Return the lines of a row that was measured before."""
        path = self.folder / f"{row}.json"
        return [Line(**one) for one in json.loads(path.read_text())] if path.exists() else None

    def put(self, row: str, lines: list[Line]) -> None:
        """Keep the lines of a row."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{row}.json"
        new = path.with_suffix(".new")
        new.write_text(json.dumps([asdict(one) for one in lines], ensure_ascii=False, indent=1))
        new.rename(path)

    def all(self) -> dict[str, list[Line]]:
        """Return everything kept, by row."""
        found: dict[str, Any] = {p.stem: self.get(p.stem) for p in sorted(self.folder.glob("*.json"))}
        return found
