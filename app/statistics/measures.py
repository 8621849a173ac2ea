"""Measures: what can be counted, in which unit, by which dimensions and filters, and which list has the records."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from app.cases.parts import ChargeFilter, SentenceFilter
from app.cases.queries import CaseFilter
from app.core.filters import RecordFilter
from app.events.queries import EventFilter
from app.statistics import dimensions, facts
from app.statistics.dimensions import Dimension
from app.statistics.facts import Fact
from app.statuses.queries import StatusFilter


@dataclass(frozen=True)
class Measure:
    """One thing that can be counted.

    `list` is the list whose records are counted, always with the filters `fixed`; `counts` names what the answer tells
    apart besides the value: `named` and `unnamed` people, or the `unknown` of a sum. `also` are parameters that no list
    has.
    """

    name: str
    kind: Literal["flow", "stock"]
    unit: str | None
    fact: Callable[[frozenset[str]], Fact]
    filter: type[RecordFilter]
    list: str
    dimensions: dict[str, Dimension]
    definition: str
    fixed: dict[str, str] = field(default_factory=dict)
    counts: tuple[str, ...] = ()
    additive: bool = True
    also: tuple[str, ...] = ()


DATED = (
    " A record counts where the earliest bound of its date puts it; "
    "min is what lies surely inside, max what possibly does."
)

MEASURES: dict[str, Measure] = {
    m.name: m
    for m in (
        Measure(
            "events",
            "flow",
            "events",
            facts.events,
            EventFilter,
            "events",
            dimensions.OF_EVENTS,
            "Events. Sex, group and age are those of the people who took part, in the role asked for." + DATED,
        ),
        Measure(
            "incidents",
            "flow",
            "incidents",
            facts.incidents,
            EventFilter,
            "events",
            dimensions.OF_EVENTS,
            "Cases of repression: all events of one incident count once, an event of none is one of its own." + DATED,
            additive=False,
        ),
        Measure(
            "persons",
            "flow",
            "persons",
            facts.persons,
            EventFilter,
            "events",
            dimensions.OF_EVENTS,
            "Distinct people whom events happened to (role victim unless role says otherwise). People "
            "nobody named come "
            "from counted groups; groups of which one lies within another may be the same people and "
            "count as the largest." + DATED,
            fixed={"role": "victim"},
            counts=("named", "unnamed"),
            additive=False,
        ),
        Measure(
            "cases",
            "flow",
            "cases",
            facts.cases,
            CaseFilter,
            "cases",
            dimensions.OF_CASES,
            "Cases decided, or with date_field=opened opened; a record that stands for many counts as many." + DATED,
        ),
        Measure(
            "charges",
            "flow",
            "charges",
            facts.charges,
            ChargeFilter,
            "charges",
            dimensions.OF_CHARGES,
            "Charges by their own date, or with date_field when their case was opened or decided. A "
            "counted group has as "
            "many as people and counts; where only some of it were charged, one." + DATED,
        ),
        Measure(
            "persons_charged",
            "flow",
            "persons",
            facts.persons_charged,
            ChargeFilter,
            "charges",
            dimensions.OF_CHARGES,
            "Distinct people by their charges, whatever became of them. Groups of one case under one "
            "label are the same." + DATED,
            counts=("named", "unnamed"),
            additive=False,
        ),
        Measure(
            "persons_convicted",
            "flow",
            "persons",
            facts.persons_convicted,
            SentenceFilter,
            "sentences",
            dimensions.OF_CONVICTED,
            "Distinct people with a sentence whose outcome is convicted, by when their case was decided." + DATED,
            fixed={"outcome": "convicted"},
            counts=("named", "unnamed"),
            additive=False,
        ),
        Measure(
            "sentences",
            "flow",
            "sentences",
            facts.sentences,
            SentenceFilter,
            "sentences",
            dimensions.OF_SENTENCES,
            "Components of sentences, by when their case was decided; a sentence of which none is known counts once."
            + DATED,
        ),
        Measure(
            "arrest_days",
            "flow",
            "days",
            facts.arrest_days,
            SentenceFilter,
            "sentences",
            dimensions.OF_SENTENCES,
            "Days of administrative arrest given; unknown is how many are of unknown length." + DATED,
            fixed={"sentence": "administrative_arrest"},
            counts=("unknown",),
        ),
        Measure(
            "imprisonment_days",
            "flow",
            "days",
            facts.imprisonment_days,
            SentenceFilter,
            "sentences",
            dimensions.OF_SENTENCES,
            "Days of imprisonment given, a year being 365.25 and a month 30.4375; unknown is how many are "
            "of unknown length, "
            "life among them." + DATED,
            counts=("unknown",),
        ),
        Measure(
            "fines",
            "flow",
            None,
            facts.fines,
            SentenceFilter,
            "sentences",
            dimensions.OF_FINES,
            "Sums of fines: of one unit (as fined or as the source converts it), of all in one currency "
            "by the dated rates, "
            "or split by unit and without a total. unknown is how many are of unknown amount or cannot be converted."
            + DATED,
            fixed={"sentence": "fine"},
            counts=("unknown",),
            also=("unit", "currency"),
        ),
        Measure(
            "persons_in_status",
            "stock",
            "persons",
            facts.persons_in_status,
            StatusFilter,
            "statuses",
            dimensions.OF_STATUSES,
            "Distinct people whose status holds on the day. What no source dates counts as begun, and as "
            "not yet ended.",
            additive=False,
        ),
        Measure(
            "organisations_in_status",
            "stock",
            "organisations",
            facts.organisations_in_status,
            StatusFilter,
            "statuses",
            dimensions.OF_ORGANISATIONS,
            "Distinct organisations whose status holds on the day. What no source dates counts as begun, "
            "and as not yet ended.",
            additive=False,
        ),
        Measure(
            "list_entries",
            "flow",
            "entries",
            facts.list_entries,
            EventFilter,
            "events",
            dimensions.OF_EVENTS,
            "Entries that events of listing (unless type says otherwise) add to a list: each person, "
            "organisation or counted group listed." + DATED,
            fixed={"role": "listed", "type": "listing"},
            counts=("named", "unnamed"),
            additive=False,
        ),
    )
}
"""Every measure by name."""
