"""Routes of the vocabularies: code lists with their labels, and the dated rates of units."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from app.core.access import CallerDep
from app.core.errors import NotFound
from app.core.http import KeptRoute, conditional, etag_of
from app.core.openapi import NOT_MODIFIED, problems
from app.core.text import Code
from app.vocabularies import queries

router = APIRouter(prefix="/v1", tags=["vocabularies"], route_class=KeptRoute)


class Term(BaseModel):
    """A code of a vocabulary."""

    code: str = Field(description="What records hold.")
    label: dict[str, str] = Field(description="Language → what people read: en, be, ru.")
    definition: str | None = Field(description="What it means.")
    broader: str | None = Field(description="Code of the broader term, if any.")
    standard: dict[str, str] = Field(description="Standard → the code it corresponds to there.")
    attributes: dict[str, str | bool] = Field(description="What else is known of it, such as whether it is custodial.")


class VocabularyRead(BaseModel):
    """A code list."""

    name: str = Field(description="Name of the vocabulary.")
    title: dict[str, str] = Field(description="Language → title.")
    definition: str = Field(description="What its codes say.")
    terms: list[Term] = Field(description="Its codes, in order.")


class Vocabularies(BaseModel):
    """All code lists."""

    items: list[VocabularyRead] = Field(description="The code lists, by name.")


class Rate(BaseModel):
    """What a unit is worth from a day on, until the next rate of the same unit and currency."""

    unit: str = Field(description="The unit, such as base_value.")
    currency: str = Field(description="ISO 4217 currency of the amount.")
    jurisdiction: str = Field(description="Where it is valid.")
    valid_from: str = Field(description="First day on which it is valid.")
    amount: str = Field(description="What one unit is worth.")
    source: str = Field(description="Where the rate was taken from.")
    printed: bool = Field(description="Whether a source prints it; false for one that was concluded.")


class Rates(BaseModel):
    """All rates, the oldest first."""

    items: list[Rate] = Field(description="The rates.")


def _answer(caller: CallerDep, text: str) -> Response:
    body = text.encode()
    return conditional(caller.request, body, etag_of(body))


@router.get(
    "/vocabularies", responses={200: {"model": Vocabularies}, **NOT_MODIFIED, **problems()}, response_class=Response
)
async def list_vocabularies(caller: CallerDep) -> Response:
    """Read all code lists with their labels in English, Belarusian and Russian."""
    row = await caller.database.row(caller.audience, queries.ALL)
    return _answer(caller, row[0])


@router.get(
    "/vocabularies/{name}",
    responses={200: {"model": VocabularyRead}, **NOT_MODIFIED, **problems(NotFound)},
    response_class=Response,
)
async def get_vocabulary(
    name: Annotated[Code, Path(description="Name of the vocabulary.")], caller: CallerDep
) -> Response:
    """Read one code list."""
    row = await caller.database.row(caller.audience, queries.ONE, name)
    if row is None:
        raise NotFound
    return _answer(caller, row[0])


@router.get("/rates", responses={200: {"model": Rates}, **NOT_MODIFIED, **problems()}, response_class=Response)
async def list_rates(caller: CallerDep) -> Response:
    """Read what units of fines are worth, by date."""
    row = await caller.database.row(caller.audience, queries.RATES)
    return _answer(caller, row[0])
