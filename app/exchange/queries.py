"""What can be exported: each resource with its list's own filters and a format."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from app.cases.parts import ChargeFilter, SentenceFilter
from app.cases.queries import CASES, CHARGES, SENTENCES, CaseFilter
from app.core.records import Resource
from app.events.queries import EVENTS, EventFilter
from app.figures.queries import FIGURES, FigureFilter
from app.organisations.queries import ORGANISATIONS, OrganisationFilter
from app.persons.queries import PERSONS, PersonFilter
from app.places.queries import PLACES, PlaceFilter
from app.sources.queries import SOURCES, SourceFilter
from app.statuses.queries import STATUSES, StatusFilter
from app.statutes.queries import STATUTES, StatuteFilter


class ExportQuery(BaseModel):
    """Parameters of every export besides its filters."""

    format: Annotated[
        Literal["ndjson", "csv"] | None,
        Field(description="ndjson, unless said: a record a line, then one with count and SHA-256; csv; or by Accept."),
    ] = None


class EntityExportQuery(BaseModel):
    """The same for the resources that are also exported as FollowTheMoney entities."""

    format: Annotated[
        Literal["ndjson", "csv", "ftm"] | None,
        Field(description="ndjson, unless said; csv; ftm: FollowTheMoney entities, one a line; or by Accept."),
    ] = None


class PersonExport(PersonFilter, EntityExportQuery):
    """Everything that an export of persons takes."""


class CaseExport(CaseFilter, EntityExportQuery):
    """Everything that an export of cases takes."""


class StatuteExport(StatuteFilter, ExportQuery):
    """Everything that an export of statutes takes."""


class EventExport(EventFilter, EntityExportQuery):
    """Everything that an export of events takes."""


class OrganisationExport(OrganisationFilter, EntityExportQuery):
    """Everything that an export of organisations takes."""


class PlaceExport(PlaceFilter, ExportQuery):
    """Everything that an export of places takes."""


class StatusExport(StatusFilter, ExportQuery):
    """Everything that an export of statuses takes."""


class SourceExport(SourceFilter, ExportQuery):
    """Everything that an export of sources takes."""


class FigureExport(FigureFilter, ExportQuery):
    """Everything that an export of figures takes."""


class ChargeExport(ChargeFilter, ExportQuery):
    """Everything that an export of charges takes."""


class SentenceExport(SentenceFilter, ExportQuery):
    """Everything that an export of sentences takes."""


ORDER = (PLACES, ORGANISATIONS, SOURCES, STATUTES, PERSONS, CASES, EVENTS, STATUSES, FIGURES)
"""All records' resources, such that what a record itself names comes before it."""

EXPORTABLE: dict[str, tuple[Resource, type[Any]]] = {
    "persons": (PERSONS, PersonExport),
    "cases": (CASES, CaseExport),
    "statutes": (STATUTES, StatuteExport),
    "events": (EVENTS, EventExport),
    "organisations": (ORGANISATIONS, OrganisationExport),
    "places": (PLACES, PlaceExport),
    "statuses": (STATUSES, StatusExport),
    "sources": (SOURCES, SourceExport),
    "figures": (FIGURES, FigureExport),
    "charges": (CHARGES, ChargeExport),
    "sentences": (SENTENCES, SentenceExport),
}
"""Name → resource and what its export takes."""
