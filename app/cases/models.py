"""A case: one proceeding, with its charges and sentences."""

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import StrictBool
from sqlalchemy import Computed, Date, Numeric, String
from sqlmodel import Field, SQLModel

from app.core.edtf import DateIn, EdtfDate
from app.core.filters import Day
from app.core.records import PartIn, PartRead, PartRow, Record, RecordIn, RecordRead, codes, link
from app.core.refs import Ref, Reference, To
from app.core.text import Amount, Code, Count, Length, Line, Number, Prose, Unit

Tristate = Literal["yes", "no", "unknown"]


class GroupFields(SQLModel):
    """Stands in the place of a person: people whom the source counts and does not name."""

    count: Annotated[Count | None, Field(description="How many people, when nobody is named.")] = None
    qualifier: Annotated[Code | None, Field(description="exact, at_least, more_than, … (vocabulary qualifier).")] = None
    label: Annotated[Line | None, Field(description="Who they are, in words.")] = None


class ChargeFields(GroupFields):
    """Fields of a charge that look the same going in and coming out."""

    status: Annotated[Code, Field(description="alleged, charged, on_trial, convicted, … (vocabulary charge_status).")]
    reason: Annotated[Code | None, Field(description="Why dropped or changed (vocabulary charge_reason).")] = None
    stage: Annotated[Code | None, Field(description="Stage of the case at that time (vocabulary case_stage).")] = None
    counts: Annotated[Count | None, Field(description="How many counts or unnamed articles this stands for.")] = None
    counts_qualifier: Annotated[
        Code | None, Field(description="How exact `counts` is: exact, at_least, … (vocabulary qualifier).")
    ] = None
    some_only: StrictBool = Field(
        default=False,
        description="True when only some of the counted people were charged, nobody says how many.",
        sa_column_kwargs={"server_default": "false"},
    )
    allegation: Annotated[Prose | None, Field(description="What the prosecution says was done.")] = None


class ChargeIn(ChargeFields, PartIn):
    """One person, or a counted group, charged under one statute. Give earlier steps as charges of their own."""

    person: Annotated[Ref | None, To("persons"), Field(description="Who is charged.")] = None
    statute: Annotated[
        Ref | None, To("statutes"), Field(description="Under what; null where the source does not say.")
    ] = None
    date: Annotated[DateIn | None, Field(description="When this status was reached.")] = None
    requalified_from: Annotated[
        Ref | None, To("statutes"), Field(description="The statute of the charge this one replaced.")
    ] = None


class ChargePart(ChargeFields, PartRead):
    """A charge as shown inside its case."""

    person: Annotated[Reference | None, To("persons"), Field(description="Who is charged.")]
    statute: Annotated[Reference | None, To("statutes"), Field(description="Under what.")]
    date: EdtfDate | None = Field(description="When this status was reached.")
    requalified_from: Annotated[
        Reference | None, To("statutes"), Field(description="The statute of the charge it replaced.")
    ]


class ChargeRead(ChargePart):
    """A charge as listed by itself."""

    case: Annotated[Reference, To("cases"), Field(description="The case it belongs to.")]


def _length(description: str, most: int, digits: int) -> Any:
    """Declare a length with its greatest value and how many digits its column holds, three of them decimals."""
    return Field(
        ge=0,
        le=most,
        schema_extra={"json_schema_extra": {"maximum": most}},
        description=description,
        sa_type=Numeric(digits, 3),
    )


class ComponentFields(SQLModel):
    """One component of a sentence. Length as printed; all three empty means that it is not known."""

    kind: Annotated[Code, Field(description="imprisonment, fine, administrative_arrest, … (vocabulary sentence_kind).")]
    years: Annotated[Length | None, _length("Years as printed.", 1_000, 7)] = None
    months: Annotated[Length | None, _length("Months as printed.", 12_000, 8)] = None
    days: Annotated[Length | None, _length("Days as printed.", 1_000_000, 10)] = None
    amount: Annotated[Amount | None, Field(description="Amount of a fine, as printed.", sa_type=Numeric(18, 4))] = None
    unit: Annotated[Unit | None, Field(description="base_value or an ISO 4217 currency.")] = None
    converted_amount: Annotated[
        Amount | None, Field(description="The same amount as the source converts it.", sa_type=Numeric(18, 4))
    ] = None
    converted_unit: Annotated[Unit | None, Field(description="Currency of the source's conversion.")] = None
    converted_on: Annotated[
        Day | None, Field(description="Day of the exchange rate of that conversion.", sa_type=Date)
    ] = None
    served: StrictBool | None = Field(default=None, description="Whether it has been served in full.")


class ComponentIn(ComponentFields, PartIn):
    """A component as given. For a counted group, lengths and amounts are the group's total, as printed."""

    read_only: ClassVar[frozenset[str]] = frozenset({"normal_days"})


class ComponentRead(ComponentFields, PartRead):
    """A component as answered."""

    normal_days: Number | None = Field(
        description="Length in days: a year is 365.25 and a month 30.4375; null if unknown."
    )


class SentenceFields(GroupFields):
    """Fields of a sentence that look the same going in and coming out."""

    outcome: Annotated[
        Code, Field(description="convicted, acquitted, discontinued, unknown, … (vocabulary sentence_outcome).")
    ]
    note: Annotated[Prose | None, Field(description="What a reader should know about it.")] = None


class SentenceIn(SentenceFields, PartIn):
    """What one person, or a counted group, got in this case. An unknown outcome is a sentence too."""

    person: Annotated[Ref | None, To("persons"), Field(description="Who was sentenced.")] = None
    components: list[ComponentIn] = Field(default_factory=list, max_length=20, description="What it is made of.")


class SentencePart(SentenceFields, PartRead):
    """A sentence as shown inside its case."""

    person: Annotated[Reference | None, To("persons"), Field(description="Who was sentenced.")]
    components: list[ComponentRead] = Field(description="What it is made of.")


class SentenceRead(SentencePart):
    """A sentence as listed by itself."""

    case: Annotated[Reference, To("cases"), Field(description="The case it belongs to.")]


class CaseFields(GroupFields):
    """Fields that look the same going in and coming out. `count` makes one record stand for many proceedings."""

    kind: Annotated[Code, Field(description="criminal, administrative, civil, prison_regime (vocabulary case_kind).")]
    in_absentia: Tristate = Field(
        default="unknown",
        description="yes, no or unknown.",
        sa_type=String,
        sa_column_kwargs={"server_default": "unknown"},
    )
    closed_hearing: StrictBool | None = Field(
        default=None, description="Whether the public was shut out; null if unknown."
    )
    stage: Annotated[Code | None, Field(description="How far it has come (vocabulary case_stage).")] = None
    result: Annotated[
        Code | None, Field(description="What a higher or later instance decided (vocabulary case_result).")
    ] = None
    contexts: list[Code] = codes("war, protest_2020, solidarity, … (vocabulary context).")
    number: Annotated[Line | None, Field(description="Number of the case as its court or investigator gives it.")] = (
        None
    )
    summary: Annotated[Prose | None, Field(description="What it is about, for the public.")] = None


class CaseIn(CaseFields, RecordIn):
    """A case as given, with everything nested in one request."""

    court: Annotated[Ref | None, To("organisations"), Field(description="The court that decides it.")] = None
    body: Annotated[Ref | None, To("organisations"), Field(description="The body that opened or investigates it.")] = (
        None
    )
    parent: Annotated[Ref | None, To("cases"), Field(description="The case it is an appeal or review of.")] = None
    judges: Annotated[list[Ref], To("persons"), Field(max_length=20, description="The judges.")] = []
    opened: Annotated[DateIn | None, Field(description="When it was opened.")] = None
    decided: Annotated[DateIn | None, Field(description="When it was decided.")] = None
    charges: list[ChargeIn] = Field(default_factory=list, max_length=500, description="The charges.")
    sentences: list[SentenceIn] = Field(default_factory=list, max_length=500, description="The sentences.")


class CaseRead(CaseFields, RecordRead):
    """A case as answered."""

    court: Annotated[Reference | None, To("organisations"), Field(description="The court that decides it.")]
    body: Annotated[
        Reference | None, To("organisations"), Field(description="The body that opened or investigates it.")
    ]
    parent: Annotated[Reference | None, To("cases"), Field(description="The case it is an appeal or review of.")]
    judges: Annotated[list[Reference], To("persons"), Field(description="The judges.")]
    opened: EdtfDate | None = Field(description="When it was opened.")
    decided: EdtfDate | None = Field(description="When it was decided.")
    charges: list[ChargePart] = Field(description="The charges.")
    sentences: list[SentencePart] = Field(description="The sentences.")


class Case(Record, CaseFields, table=True):
    """A case as kept."""

    __tablename__ = "cases"

    court_id: UUID | None = link("organisations")
    body_id: UUID | None = link("organisations")
    parent_id: UUID | None = link("cases")
    opened: str | None = None
    opened_earliest: dt.date | None = None
    opened_latest: dt.date | None = None
    opened_printed: str | None = None
    opened_inferred: bool | None = None
    decided: str | None = None
    decided_earliest: dt.date | None = None
    decided_latest: dt.date | None = None
    decided_printed: str | None = None
    decided_inferred: bool | None = None


class CaseJudge(PartRow, table=True):
    """A judge of a case."""

    __tablename__ = "case_judges"

    case_id: UUID = link("cases", required=True, cascade=True)
    person_id: UUID = link("persons", required=True)


class Charge(PartRow, ChargeFields, table=True):
    """A charge as kept."""

    __tablename__ = "charges"

    case_id: UUID = link("cases", required=True, cascade=True)
    person_id: UUID | None = link("persons")
    statute_id: UUID | None = link("statutes")
    requalified_from_id: UUID | None = link("statutes")
    date: str | None = None
    date_earliest: dt.date | None = None
    date_latest: dt.date | None = None
    date_printed: str | None = None
    date_inferred: bool | None = None


class Sentence(PartRow, SentenceFields, table=True):
    """A sentence as kept."""

    __tablename__ = "sentences"

    case_id: UUID = link("cases", required=True, cascade=True)
    person_id: UUID | None = link("persons")


class Component(PartRow, ComponentFields, table=True):
    """A component of a sentence as kept."""

    __tablename__ = "sentence_components"

    sentence_id: UUID = link("sentences", required=True, cascade=True)
    normal_days: Decimal | None = Field(
        default=None,
        sa_column_args=[
            Computed(
                "CASE WHEN years IS NULL AND months IS NULL AND days IS NULL THEN NULL ELSE "
                "round(coalesce(years, 0) * 365.25 + coalesce(months, 0) * 30.4375 + coalesce(days, 0), 2) END",
                persisted=True,
            )
        ],
        sa_type=Numeric,
    )
