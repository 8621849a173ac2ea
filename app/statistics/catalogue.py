"""The catalogue: everything that can be counted, told from the measures themselves."""

import json

from fastapi import Response
from pydantic import BaseModel, Field

from app.core.access import Caller
from app.core.http import conditional, etag_of
from app.statistics.answers import DEFINITION_VERSION
from app.statistics.dimensions import TIMES, TITLES
from app.statistics.measures import MEASURES, Measure
from app.statistics.questions import ASKED

FIXED = {"on", "date_match"}
"""Filters of the lists that a question cannot choose: a stock has its `at`, and a date counts by its earliest bound."""


class DimensionRead(BaseModel):
    """A way to group a measure."""

    name: str = Field(description="What `by` takes.")
    label: dict[str, str] = Field(description="What it is called, by language.")
    several: bool = Field(description="Whether one counted thing can be in several cells, which then do not add up.")


class ParameterRead(BaseModel):
    """A parameter of a measure."""

    name: str = Field(description="Name of the parameter.")
    description: str = Field(description="What it asks for.")


class MeasureRead(BaseModel):
    """A measure as the catalogue shows it."""

    name: str = Field(description="Name in the path.")
    kind: str = Field(description="flow: over a period [from, to); stock: on a day (at), or over time with grain.")
    unit: str | None = Field(description="Unit of the value; null where the question decides.")
    definition: str = Field(description="What is counted, in words.")
    dimensions: list[DimensionRead] = Field(description="What it can be grouped by.")
    filters: list[ParameterRead] = Field(description="What it can be narrowed by: those of its list.")
    parameters: list[ParameterRead] = Field(description="What it takes besides: days, units, grouping and form.")
    list: str = Field(description="The list whose records are counted.")
    url: str = Field(description="Where to ask.")


class Catalogue(BaseModel):
    """What can be counted."""

    items: list[MeasureRead] = Field(description="The measures.")
    definition_version: int = Field(description="Raised whenever the same records would be counted otherwise.")


def _described(measure: Measure) -> MeasureRead:
    times = [] if measure.kind == "stock" else list(TIMES)
    grouped = [DimensionRead(name=t, label=TITLES[t], several=not measure.additive) for t in times]
    for name, dimension in measure.dimensions.items():
        alone = name == "sex" or measure.additive
        grouped.append(DimensionRead(name=name, label=TITLES[name], several=dimension.many or not alone))
    taken = [(name, info) for name, info in ASKED[measure.name].model_fields.items() if name not in FIXED]
    narrows = measure.filter.model_fields.keys() - {*measure.also}
    filters, others = (
        [
            ParameterRead(name=info.alias or name, description=info.description or "")
            for name, info in taken
            if (name in narrows) == kind
        ]
        for kind in (True, False)
    )
    return MeasureRead(
        name=measure.name,
        kind=measure.kind,
        unit=measure.unit,
        definition=measure.definition,
        dimensions=grouped,
        filters=filters,
        parameters=others,
        list=f"/v1/{measure.list}",
        url=f"/v1/statistics/{measure.name}",
    )


def catalogue(caller: Caller) -> Response:
    """Answer the catalogue; it is the same for everybody."""
    found = Catalogue(items=[_described(m) for m in MEASURES.values()], definition_version=DEFINITION_VERSION)
    body = json.dumps(found.model_dump(), ensure_ascii=False).encode()
    return conditional(caller.request, body, etag_of(body))
