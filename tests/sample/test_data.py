"""The sample is whole: every record is valid, linked, sourced and fit to be public."""

import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from app.cases.models import CaseIn
from app.core.records import RecordIn
from app.core.refs import Ref, To
from app.events.models import EventIn
from app.figures.models import FigureIn
from app.organisations.models import OrganisationIn
from app.persons.models import PersonIn, ProtectedFields
from app.places.models import PlaceIn
from app.sources.models import SourceIn
from app.statuses.models import StatusIn
from app.statutes.models import StatuteIn

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "app" / "sample"
VOCABULARIES = ROOT / "app" / "vocabularies" / "data"

Json = dict[str, Any]

MODELS: dict[str, type[RecordIn]] = {
    "places": PlaceIn,
    "organisations": OrganisationIn,
    "sources": SourceIn,
    "statutes": StatuteIn,
    "persons": PersonIn,
    "cases": CaseIn,
    "events": EventIn,
    "statuses": StatusIn,
    "figures": FigureIn,
}

FACTS = 548
RESTRICTED = {"event/minors-parents-q1"}

CODES = {
    "places": {"kind": "place_kind"},
    "organisations": {"kind": "organisation_kind"},
    "sources": {"kind": "source_kind", "reliability": "reliability"},
    "statutes": {"nature": "statute_nature"},
    "persons": {"sex": "sex", "sex_basis": "sex_basis", "groups": "person_group", "state": "affiliation_state"},
    "cases": {
        "kind": "case_kind",
        "stage": "case_stage",
        "result": "case_result",
        "contexts": "context",
        "qualifier": "qualifier",
        "charges.status": "charge_status",
        "charges.reason": "charge_reason",
        "charges.counts_qualifier": "qualifier",
        "sentences.outcome": "sentence_outcome",
        "components.kind": "sentence_kind",
        "components.unit": "unit",
        "components.converted_unit": "unit",
    },
    "events": {
        "type": "event_type",
        "contexts": "context",
        "participants.role": "participant_role",
        "participants.qualifier": "qualifier",
        "participants.unit": "unit",
    },
    "statuses": {"kind": "status_kind", "end_ground": "status_end_ground", "criterion": "status_criterion"},
    "figures": {"measure": "measure", "qualifier": "qualifier", "unit": "unit"},
}
EVERYWHERE = {
    "publication_ground": "publication_ground",
    "confidence": "confidence",
    "names.kind": "name_kind",
    "citations.state": "citation_state",
}
FILTER_CODES = {
    "persons": {"type": "event_type", "group": "person_group", "role": "participant_role", "context": "context"},
    "events": {"type": "event_type"},
    "list_entries": {"type": "event_type"},
    "persons_in_status": {"status": "status_kind", "group": "person_group", "sex": "sex"},
    "organisations_in_status": {"status": "status_kind"},
    "cases": {"kind": "case_kind"},
    "sentences": {"kind": "case_kind", "sentence": "sentence_kind"},
    "sentence_length": {"sentence": "sentence_kind"},
    "persons_convicted": {"kind": "case_kind", "sentence": "sentence_kind", "sex": "sex"},
    "fines": {"kind": "case_kind", "unit": "unit"},
    "charges": {"status": "charge_status"},
}

PROSE = {"summary", "description", "note", "definition", "label", "ground", "result", "allegation", "role", "printed"}
HEALTH = r"cancer|pneumonia|ill(?!-treat)|illness\w*|disease\w*|sick\w*|flu|influenza|hospital|medical|health|patients?"
KIN = r"relatives?|famil\w+|husbands?|wi(?:fe|ves)|spouses?|child|children|sons?|daughters?|mothers?|fathers?|parents?"
ABOUT_NOBODY = {
    # Aggregates, facilities and the publicly known raid: no single person is told to be ill or to be a relative.
    "case/kgb-raid-criminal",
    "case/kgb-raid-admin",
    "event/kgb-raid",
    "event/cf1-flu",
    "event/claim-prison-health",
    "figure/1.06",
    "figure/3.45",
    "figure/4.08",
    "facility/cf1",
    # The facility, which the sources print as the possible place of a death in custody.
    "event/khrasko-death",
    "facility/hospital-khrasko",
}


def load(name: str) -> Any:
    """Return the content of one data file."""
    return json.loads((SAMPLE / "data" / f"{name}.json").read_text(encoding="utf-8"))


RECORDS: dict[str, list[Json]] = {name: load(name) for name in MODELS}
ALL = [(resource, record) for resource, records in RECORDS.items() for record in records]
LIVES_IN = {record["origin_id"]: resource for resource, record in ALL}
KEYS = {
    "places": {r["code"] for r in RECORDS["places"] if r.get("code")},
    "statutes": {r["key"] for r in RECORDS["statutes"]},
}


def references(model: BaseModel) -> Iterator[tuple[str, Ref]]:
    """Yield each reference of a validated record with the resource that it points at."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        targets = [m.table for m in field.metadata if isinstance(m, To)]
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Ref):
                assert targets, f"{type(model).__name__}.{name} does not say what it points at"
                yield targets[0], item
            elif isinstance(item, BaseModel):
                yield from references(item)


def strings(value: Any, parents: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every string of a JSON value with the names on the way to it, lists left out."""
    if isinstance(value, str):
        yield parents, value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, parents)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, (*parents, key))


def terms(name: str) -> set[str]:
    """Return the codes of a vocabulary, none for a data file of another kind."""
    data = tomllib.loads((VOCABULARIES / f"{name}.toml").read_text(encoding="utf-8"))
    return {term["code"] for term in data.get("terms", ())}


def prose(record: Json) -> Iterator[str]:
    """Yield the texts of a record that are in words, without names, titles and competing values."""
    for path, text in strings({k: v for k, v in record.items() if k not in {"names", "titles", "title"}}):
        if path[-1] in PROSE and "value" not in path:
            yield text


def named(codes: dict[str, str], path: tuple[str, ...]) -> str | None:
    """Return the vocabulary of a field, found by its own name or by that of the list it is in and its own."""
    if len(path) == 1:
        return codes.get(path[0])
    return codes.get(f"{path[-2]}.{path[-1]}") or (
        codes.get(path[-1]) if path[-2] in {"affiliations", "charges", "sentences"} else None
    )


@pytest.mark.parametrize(("resource", "record"), ALL, ids=[r["origin_id"] for _, r in ALL])
def test_record_is_valid_and_its_references_resolve(resource: str, record: Json) -> None:
    model = MODELS[resource].model_validate(record)
    for target, reference in references(model):
        if reference.key is not None:
            assert reference.key in KEYS[target]
        else:
            assert reference.origin == "sample"
            assert reference.origin_id is not None
            assert LIVES_IN[reference.origin_id] == target


def test_origin_ids_are_unique_over_all_resources() -> None:
    counts = Counter(record["origin_id"] for _, record in ALL)
    assert [o for o, n in counts.items() if n > 1] == []
    assert {record["origin"] for _, record in ALL} == {"sample"}


def test_references_inside_competing_values_and_filters_resolve() -> None:
    for _, record in ALL:
        for citation in record["citations"]:
            for path, text in strings(citation.get("value")):
                assert path[-1:] != ("origin_id",) or text in LIVES_IN
    for figure in RECORDS["figures"]:
        for _, text in strings(figure["filters"]):
            assert "/" not in text or text in LIVES_IN
            assert not text.startswith("BY-") or text in KEYS["places"] | KEYS["statutes"]


def test_every_record_that_is_not_a_source_has_a_source() -> None:
    bare = [r["origin_id"] for resource, r in ALL if not r["citations"] and resource != "sources"]
    assert bare == []


def test_where_sources_disagree_exactly_one_is_preferred_at_most() -> None:
    assert [r["origin_id"] for _, r in ALL if sum(c.get("preferred", False) for c in r["citations"]) > 1] == []


def test_every_code_is_in_its_vocabulary() -> None:
    known = {path.stem: terms(path.stem) for path in VOCABULARIES.glob("*.toml")}
    unknown = []
    for resource, record in ALL:
        for path, text in strings(record):
            if "value" in path or path[0] == "filters":
                continue
            vocabulary = named({**CODES[resource], **EVERYWHERE}, path)
            if vocabulary is not None and text not in known[vocabulary]:
                unknown.append((record["origin_id"], ".".join(path), text))
    for figure in RECORDS["figures"]:
        for path, text in strings(figure["filters"]):
            vocabulary = FILTER_CODES.get(figure["measure"], {}).get(path[0])
            if vocabulary is not None and text not in known[vocabulary]:
                unknown.append((figure["origin_id"], path[0], text))
    assert unknown == []


def test_everything_is_public_but_what_is_named_here() -> None:
    assert {r["origin_id"] for _, r in ALL if r["level"] != "public"} == RESTRICTED


def test_public_texts_tell_of_nobodys_health_or_kin() -> None:
    word = re.compile(rf"\b(?:{HEALTH}|{KIN})\b", re.IGNORECASE)
    found = [
        (record["origin_id"], text)
        for _, record in ALL
        if record["level"] == "public" and record["origin_id"] not in ABOUT_NOBODY
        for text in prose(record)
        if word.search(text)
    ]
    assert found == []


def test_protected_parts_are_valid_and_belong_to_persons() -> None:
    persons = {r["origin_id"] for r in RECORDS["persons"]}
    protected = load("protected")
    assert {entry["person"] for entry in protected} <= persons
    assert len({entry["person"] for entry in protected}) == len(protected)
    for entry in protected:
        ProtectedFields.model_validate(entry["content"])


def test_each_participant_that_another_is_within_exists() -> None:
    ids = [p["id"] for event in RECORDS["events"] for p in event.get("participants", ()) if "id" in p]
    assert len(ids) == len(set(ids))
    within = {p["within"] for event in RECORDS["events"] for p in event.get("participants", ()) if "within" in p}
    assert within <= set(ids)


def test_every_counted_group_of_an_event_has_an_id_and_a_label() -> None:
    for event in RECORDS["events"]:
        for participant in event.get("participants", ()):
            if "person" not in participant and "organisation" not in participant:
                assert {"id", "label", "qualifier"} <= set(participant), event["origin_id"]


def test_the_index_leads_from_every_fact_to_where_it_lives() -> None:
    index = json.loads((SAMPLE / "index.json").read_text(encoding="utf-8"))
    assert len(index) == FACTS
    content: dict[str, Any] = {r["origin_id"]: r for _, r in ALL}
    protected = {entry["person"]: entry["content"] for entry in load("protected")}
    for fact, place in index.items():
        if place["resource"] == "protected":
            found = protected[place["origin_id"]]
        else:
            assert LIVES_IN[place["origin_id"]] == place["resource"], fact
            found = content[place["origin_id"]]
        for step in place.get("pointer", "").split("/")[1:]:
            found = found[int(step)] if isinstance(found, list) else found[step]
        assert found, fact


def test_no_sentence_of_the_reports_is_copied() -> None:
    folder = os.environ.get("CHRONIKA_TEST_SEEDS")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CHRONIKA_TEST_SEEDS does not name a directory with the texts of the reports")
    run = 9

    def runs(text: str) -> set[tuple[str, ...]]:
        words = re.findall(r"\w+", text.lower())
        return {tuple(words[i : i + run]) for i in range(len(words) - run + 1)}

    theirs = set().union(*(runs(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).glob("*.txt"))))
    ours = [(record["origin_id"], text) for _, record in ALL for text in prose(record)]
    assert [item for item in ours if runs(item[1]) & theirs] == []
