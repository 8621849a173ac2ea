"""Ages in bands, as statistics group them: told by the first day on which a person can have been born."""

from typing import Any

from sqlalchemy import case, func, literal_column

BANDS = (
    ("under_18", 18),
    ("18_24", 25),
    ("25_34", 35),
    ("35_44", 45),
    ("45_54", 55),
    ("55_64", 65),
    ("65_over", 200),
)
"""Name of each band, and the age at which the next one begins."""


def age_band(person: Any, day: Any) -> Any:
    """Return the band of a person's age on a day; null where the birth or the day is not known.

    `person` are the columns of `persons`. As with every date, the earliest bound of the birth decides.
    """
    born = func.coalesce(person.born_earliest, person.born_latest)
    years = func.date_part("year", func.age(day, born))
    return case(*((years < literal_column(str(end)), literal_column(f"'{name}'")) for name, end in BANDS))
