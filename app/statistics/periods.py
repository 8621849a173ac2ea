"""Periods: days, weeks, months, quarters and years as the statistics name them."""

from datetime import date, timedelta

MONTHS = {"month": 1, "quarter": 3, "year": 12}


def following(grain: str, day: date) -> date:
    """Return the first day of the period after the one that begins on `day`; the last of the calendar ends it."""
    if grain in MONTHS:
        months = day.month - 1 + MONTHS[grain]
        year = day.year + months // 12
        return date(year, months % 12 + 1, 1) if year <= date.max.year else date.max
    step = timedelta(days=7 if grain == "week" else 1)
    return day + step if day <= date.max - step else date.max


def beginning(grain: str, day: date) -> date:
    """Return the first day of the period that a day is in; weeks begin on Monday (ISO 8601)."""
    if grain in MONTHS:
        return date(day.year, (day.month - 1) // MONTHS[grain] * MONTHS[grain] + 1, 1)
    return day - timedelta(days=day.weekday()) if grain == "week" and day.toordinal() > day.weekday() else day


def name(grain: str, day: date) -> str:
    """Name the period that begins on `day`: 2024, 2024-Q1, 2024-01, 2024-W05 or 2024-01-31."""
    if grain == "week":
        year, week, _ = day.isocalendar()
        return f"{year:04}-W{week:02}"
    if grain == "quarter":
        return f"{day.year:04}-Q{(day.month + 2) // 3}"
    return day.isoformat()[: {"day": 10, "month": 7, "year": 4}[grain]]


def number(grain: str, first: date, last: date) -> int:
    """Return how many periods there are from the one with `first` to the one with `last`."""
    a, b = beginning(grain, first), beginning(grain, last)
    if grain in MONTHS:
        return ((b.year - a.year) * 12 + b.month - a.month) // MONTHS[grain] + 1
    return (b - a).days // (7 if grain == "week" else 1) + 1
