"""A figure: a number that somebody published, kept in the terms in which this service counts."""

from typing import Annotated
from uuid import UUID

from pydantic import StringConstraints, model_validator
from sqlalchemy import Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from app.core.edtf import bounds
from app.core.records import Record, RecordIn, RecordRead, link
from app.core.refs import Ref, Reference, To
from app.core.text import Code, Key, Line, Number, Prose, Unit

CalendarDate = Annotated[str, StringConstraints(pattern=r"^[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?$")]
"""A year, month or day, only as precise as the figure's own words; never moved to the 1st of January."""

FilterValue = Line | list[Line]


class FigureFields(SQLModel):
    """Fields that look the same going in and coming out."""

    value: Annotated[Number, Field(description="The number, as published.", sa_type=Numeric(20, 6))]
    qualifier: Annotated[Code, Field(description="exact, at_least, more_than, … (vocabulary qualifier).")] = "exact"
    measure: Annotated[
        Code, Field(description="What is counted: a measure of /v1/statistics, or share, age, … (vocabulary measure).")
    ]
    filters: dict[Key, FilterValue] = Field(
        default_factory=dict,
        description="Filters of the count, named as in /v1/statistics.",
        sa_type=JSONB,
        nullable=False,
        schema_extra={"json_schema_extra": {"additionalProperties": False}},  # no other names than those of the pattern
    )
    at: CalendarDate | None = Field(default=None, description="Day of a stock.")
    start: CalendarDate | None = Field(default=None, alias="from", description="First day, month or year of a flow.")
    end: CalendarDate | None = Field(default=None, alias="to", description="First day, month or year after a flow.")
    unit: Annotated[Unit | None, Field(description="persons, events, days, base_value, USD, … (vocabulary unit).")] = (
        None
    )
    printed: Annotated[Line | None, Field(description="The words in which it was printed, in short.")] = None
    definition: Annotated[Prose | None, Field(description="What exactly is counted, in words.")] = None


class FigureIn(FigureFields, RecordIn):
    """A figure as given."""

    originator: Annotated[Ref | None, To("organisations"), Field(description="Who counted.")] = None
    publisher: Annotated[Ref | None, To("organisations"), Field(description="Who printed it.")] = None
    source: Annotated[Ref | None, To("sources"), Field(description="Where it is printed.")] = None
    base: Annotated[
        Ref | None,
        To("figures"),
        Field(description="The figure that a share is a share of, or that contains this one."),
    ] = None

    @model_validator(mode="after")
    def _one_time(self) -> "FigureIn":
        if self.at is not None and (self.start is not None or self.end is not None):
            msg = "a figure is of a day (at) or of a period (from, to), not both"
            raise ValueError(msg)
        days = [bounds(d).earliest for d in (self.start, self.end, self.at) if d is not None]
        if (
            self.start is not None
            and self.end is not None
            and days[0] is not None
            and days[1] is not None
            and days[1] < days[0]
        ):
            msg = "the period ends before it starts"
            raise ValueError(msg)
        return self


class FigureRead(FigureFields, RecordRead):
    """A figure as answered."""

    originator: Annotated[Reference | None, To("organisations"), Field(description="Who counted.")]
    publisher: Annotated[Reference | None, To("organisations"), Field(description="Who printed it.")]
    source: Annotated[Reference | None, To("sources"), Field(description="Where it is printed.")]
    base: Annotated[Reference | None, To("figures"), Field(description="The figure it is a share or part of.")]


class FigureComputed(FigureRead):
    """A figure as answered with `include=computed`."""

    computed: Number | None = Field(default=None, description="What the service counts for the same question.")
    coverage: Number | None = Field(default=None, description="computed / value; null for a value of zero.")
    contradicts: list[UUID] = Field(
        default_factory=list, description="Other figures of the same measure, filters and period with another value."
    )
    statistics: str | None = Field(default=None, description="URL of the question; null where it cannot be asked.")


class Figure(Record, FigureFields, table=True):
    """A figure as kept."""

    __tablename__ = "figures"

    originator_id: UUID | None = link("organisations")
    publisher_id: UUID | None = link("organisations")
    source_id: UUID | None = link("sources")
    base_id: UUID | None = link("figures")
