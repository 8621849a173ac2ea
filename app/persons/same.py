"""Who is the same person as whom: suggestions with their reasons, judgements against them, merging and its undo."""

from datetime import date
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from fastapi import Response
from pydantic import Field

from app.core.access import Caller, Writer
from app.core.crud import answer, expect, locked, missing
from app.core.errors import Conflict, FieldProblem, Invalid, NotFound
from app.core.http import conditional, etag_of, languages, match_version
from app.core.likeness import of_names, telling
from app.core.name_questions import resembling
from app.core.reads import absent
from app.core.records import Input, Read
from app.core.refs import Ref, Reference
from app.core.rows import find_refs
from app.persons.queries import PERSONS

THRESHOLD = 0.82
"""Likeness of two names from which two persons are suggested to be one; docs/names.md says what it finds and misses."""

EVIDENCE = {"born": 0.10, "event": 0.10, "case": 0.10, "place": 0.04}
"""What agreement adds to the likeness of the names."""

LEAST_LIKENESS = 0.6
"""Names less alike than this are not made one by anything else: those charged together have much in common."""

CONTRADICTED = 0.5
"""What is left of the score where the dates of birth cannot both be true."""

MOST = 50


Kind = Literal["names", "born", "event", "case", "place"]


class Reason(Read):
    """One thing that speaks for or against two persons being one."""

    kind: Kind = Field(description="What was compared.")
    says: Literal["for", "against"] = Field(description="Whether it speaks for or against one person.")
    weight: float = Field(description="How much it counts: likeness of the names, or what it adds or takes.")
    detail: str = Field(description="In words, for people.")


class Similar(Read):
    """Somebody who may be the same person."""

    person: Reference = Field(description="The other person.")
    score: float = Field(description="0 to 1; names alone that are the same in other spellings make 0.9.")
    reasons: list[Reason] = Field(description="Why, the names first.")


class Similars(Read):
    """Who may be the same person, the likeliest first; nobody is ever merged by that alone."""

    items: list[Similar] = Field(description=f"At most {MOST}.")


class Merge(Input):
    """Into whom a person is merged."""

    into: Annotated[UUID, Field(description="Id of the person who stays.")]


MINE = """
SELECT p.born_earliest, p.born_latest,
       ARRAY(SELECT n.text FROM person_names n WHERE n.person_id = p.id ORDER BY n.position, n.id LIMIT 100) AS names
  FROM persons p WHERE p.id = $1
"""

CANDIDATES = """
SELECT p.id, p.born_earliest, p.born_latest,
       ARRAY(SELECT n.text FROM person_names n WHERE n.person_id = p.id ORDER BY n.position, n.id LIMIT 20) AS names,
       (SELECT n.text FROM person_names n WHERE n.person_id = p.id
         ORDER BY array_position($3::text[], split_part(lower(n.language), '-', 1)), n.position, n.id LIMIT 1) AS label
  FROM similar_persons($1, $2) s JOIN persons p ON p.id = s.id WHERE NOT judged_not_same(s.id, $1)
"""
"""Whose names are about like these, under the caller's own rights."""

SHARED_BY = """
WITH mine AS MATERIALIZED (SELECT DISTINCT event_id FROM participants WHERE person_id = $1 LIMIT 500),
event AS MATERIALIZED (
    SELECT DISTINCT b.person_id FROM mine JOIN participants b USING (event_id) WHERE b.person_id = ANY ($2::uuid[])),
cases AS MATERIALIZED (
    SELECT DISTINCT h.person_id
      FROM (SELECT DISTINCT case_id FROM charges WHERE person_id = $1 LIMIT 500) AS own JOIN charges h USING (case_id)
     WHERE h.person_id = ANY ($2::uuid[])),
places AS MATERIALIZED (SELECT DISTINCT e.place_id FROM mine JOIN events e ON e.id = mine.event_id)
SELECT c.id, c.id IN (SELECT person_id FROM event) AS event, c.id IN (SELECT person_id FROM cases) AS "case",
       EXISTS (SELECT FROM (SELECT event_id FROM participants p WHERE p.person_id = c.id LIMIT 50) AS a
                 JOIN events e ON e.id = a.event_id WHERE e.place_id IN (SELECT place_id FROM places)) AS place
  FROM unnest($2::uuid[]) AS c (id)
"""
"""What each of some persons shares with another, as far as the caller may see it of both.

Of somebody who took part in very many events, such as a judge, only some are looked at.
"""


async def get_similar(person_id: UUID, lang: str | None, caller: Caller) -> Response:
    """Answer who may be the same person; for a person who is not there, as `GET /v1/persons/{id}` does."""
    own = await caller.database.row(caller.audience, MINE, person_id)
    if own is None:
        await absent(PERSONS, person_id, caller)
    arguments = (person_id, resembling(own["names"]), languages(caller.request, lang))
    rows = await caller.database.fetch(caller.audience, CANDIDATES, *arguments)
    mine = _distinct(own["names"])
    alike = [
        Candidate(r, best, _born(own, r)) for r in rows if (best := _likeness(mine, r["names"])).score >= LEAST_LIKENESS
    ]
    alike = sorted(alike, key=lambda c: (-c.score(), str(c.row["id"])))[:MOST]
    ids = [c.row["id"] for c in alike]
    shared = await caller.database.fetch(caller.audience, SHARED_BY, person_id, ids) if ids else []
    by_id = {r["id"]: r for r in shared}
    found = [s for c in alike if (s := _judged(c, by_id[c.row["id"]])) is not None]
    found.sort(key=lambda s: (-s.score, str(s.person.id)))
    body = Similars(items=found).model_dump_json().encode()
    return conditional(caller.request, body, etag_of(body))


SHARED: tuple[tuple[Kind, str], ...] = (
    ("event", "Took part in the same event."),
    ("case", "Charged in the same case."),
    ("place", "Took part in events in the same place."),
)


def _born(own: Any, other: Any) -> Reason | None:
    """Compare two dates of birth, of which either end may be open or unknown."""
    bounds = [(r["born_earliest"], r["born_latest"]) for r in (own, other)]
    if (None, None) in bounds:
        return None
    (a, b), (c, d) = ((low or date.min, high or date.max) for low, high in bounds)
    if a > d or c > b:
        return Reason(
            kind="born", says="against", weight=CONTRADICTED, detail="The dates of birth cannot both be true."
        )
    weight = EVIDENCE["born"] if a == b == c == d else EVIDENCE["born"] / 2
    detail = "Born on the same day." if a == b == c == d else "The dates of birth agree as far as they are known."
    return Reason(kind="born", says="for", weight=weight, detail=detail)


def _distinct(names: list[str]) -> list[str]:
    """Return one spelling of each name that differs from the others in more than spelling."""
    return list({tuple(readings[0] for readings in telling(name)): name for name in reversed(names)}.values())


class Likeness(NamedTuple):
    """How alike two persons' names are: the score of the two most alike, and these."""

    score: float
    own: str
    other: str


def _likeness(own: list[str], other: list[str]) -> Likeness:
    """Compare the names of two persons, each with each; `own` are distinct already."""
    pairs = (Likeness(of_names(a, b), a, b) for b in _distinct(other) for a in own)
    return max(pairs, default=Likeness(0.0, "", ""))


class Candidate(NamedTuple):
    """Somebody with about the same name: the row, how alike the names are, and what the dates of birth say."""

    row: Any
    names: Likeness
    born: Reason | None

    def score(self, shared: float = 0.0) -> float:
        """Return the score, with the weight of what the two share."""
        if self.born is not None and self.born.says == "against":
            return min(0.9 * self.names.score + shared, 1.0) * CONTRADICTED
        return min(0.9 * self.names.score + shared + (self.born.weight if self.born else 0.0), 1.0)


def _judged(candidate: Candidate, shared: Any) -> Similar | None:
    """Score a candidate by all that is known; None for one who is not like enough."""
    names, born = candidate.names, candidate.born
    reasons = [Reason(kind="names", says="for", weight=round(names.score, 3), detail=f"{names.own} ~ {names.other}")]
    reasons += [
        Reason(kind=kind, says="for", weight=EVIDENCE[kind], detail=detail) for kind, detail in SHARED if shared[kind]
    ]
    weight = sum(r.weight for r in reasons[1:])
    if born is not None:
        reasons.append(born)
    agreed = born.weight if born is not None and born.says == "for" else 0.0
    if names.score + weight + agreed < THRESHOLD:
        return None
    return Similar(
        person=Reference(id=candidate.row["id"], label=candidate.row["label"]),
        score=round(candidate.score(weight), 3),
        reasons=reasons,
    )


# --- judgements ------------------------------------------------------------------------------------------


async def judge_not_same(person_id: UUID, other_id: UUID, writer: Writer) -> Response:
    """Record that two persons are not one: neither is suggested for the other any more. 204, also when repeated."""
    if person_id == other_id:
        detail = "a person is the same as itself"
        raise Invalid(detail, errors=[FieldProblem(pointer="", code="same", detail=detail)])
    sql = "SELECT id FROM persons WHERE id IN ($1, $2) FOR SHARE"
    known = {row["id"] for row in await writer.transaction.fetch(sql, person_id, other_id)}
    for wanted in (person_id, other_id):
        if wanted not in known:
            await missing(PERSONS, wanted, writer)
    await writer.transaction.fetch(
        "INSERT INTO not_same (one, other, actor) VALUES (least($1::uuid, $2), greatest($1::uuid, $2), $3) "
        "ON CONFLICT DO NOTHING",
        person_id,
        other_id,
        writer.transaction.actor,
    )
    return Response(status_code=204)


async def withdraw_not_same(person_id: UUID, other_id: UUID, writer: Writer) -> Response:
    """Take the judgement back: 204; 404 if there is none."""
    sql = "DELETE FROM not_same WHERE one = least($1::uuid, $2) AND other = greatest($1::uuid, $2) RETURNING one"
    if not await writer.transaction.fetch(sql, person_id, other_id):
        raise NotFound
    return Response(status_code=204)


# --- merging ---------------------------------------------------------------------------------------------

WOULD_SHOW = (
    "This would show something to more people than may see it now. Bring the two persons, and what hangs on them, to "
    "one level first."
)


async def merge_persons(person_id: UUID, into: UUID, writer: Writer) -> Response:
    """Make one person of two and answer the one who stays; the other id answers 308 from then on.

    Names, affiliations and citations are added to those of the one who stays, whatever named the other names that one,
    and the protected parts become one. Other fields stay as they are; the merged person's are in its history.
    """
    current = await locked(PERSONS, person_id, writer.transaction)
    if current is None:
        await missing(PERSONS, person_id, writer)
    expect(current, match_version(writer.caller.request))
    stays = await find_refs(writer.transaction, {("persons", Ref(id=into))})
    if not stays:
        detail = "there is no such person, as far as this key can see"
        raise Invalid(detail, errors=[FieldProblem(pointer="/into", code="unknown_reference", detail=detail)])
    (into,) = stays.values()
    if person_id == into:
        detail = "a person cannot be merged into itself"
        raise Invalid(detail, errors=[FieldProblem(pointer="/into", code="same", detail=detail)])
    row = await writer.transaction.row("SELECT judged_not_same($1, $2)", person_id, into)
    if row[0]:
        detail = "These two were judged not to be the same person; take that back first."
        raise Conflict(detail)
    row = await writer.transaction.row("SELECT merge_persons($1, $2)", person_id, into)
    if not row[0]:
        raise Conflict(WOULD_SHOW)
    return await answer(PERSONS, into, writer, 200)


async def undo_merge(person_id: UUID, writer: Writer) -> Response:
    """Take a merge back and answer the person as it was; 404 if this id was not merged, 409 if it cannot be undone."""
    row = await writer.transaction.row("SELECT unmerge_persons($1)", person_id)
    if row[0] is None:
        raise NotFound
    if not row[0]:
        detail = f"The other person is merged or deleted: undo that first. Or: {WOULD_SHOW[0].lower()}{WOULD_SHOW[1:]}"
        raise Conflict(detail)
    return await answer(PERSONS, person_id, writer, 200)
