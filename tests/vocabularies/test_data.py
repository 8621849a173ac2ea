"""The code lists and rates that are shipped as data keep their form."""

import re
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2] / "app" / "vocabularies" / "data"
RATES = DATA / "rates.toml"
VOCABULARIES = sorted(path for path in DATA.glob("*.toml") if path != RATES)

CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
# Two lists keep the codes that their standards print: WGAD-II, PACE-1900-A; BYN, USD.
CODES_OF_STANDARDS = {
    "status_criterion": re.compile(r"[A-Z][A-Z0-9-]{0,63}"),
    "unit": re.compile(r"[a-z][a-z0-9_]{0,63}|[A-Z]{3}"),
}
REQUIRED = {
    "event_type", "participant_role", "person_group", "name_kind", "sex", "sex_basis", "affiliation_state",
    "case_kind", "case_stage", "case_result", "charge_status", "charge_reason", "sentence_kind", "sentence_outcome",
    "statute_nature", "status_kind", "status_end_ground", "status_criterion", "organisation_kind", "place_kind",
    "source_kind", "reliability", "citation_state", "qualifier", "confidence", "context", "publication_ground",
    "measure", "unit",
}  # fmt: skip
MEASURES = {
    "events", "incidents", "persons", "cases", "charges", "persons_charged", "persons_convicted", "sentences",
    "arrest_days", "imprisonment_days", "fines", "persons_in_status", "organisations_in_status", "list_entries",
}  # fmt: skip
LANGUAGES = {"en", "be", "ru"}
NOT_BELARUSIAN = set("иИщЩъЪ")
NOT_RUSSIAN = set("іІўЎ\N{RIGHT SINGLE QUOTATION MARK}")


def load(path: Path) -> dict[str, Any]:
    """Parse one data file."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def terms_of(name: str) -> list[dict[str, Any]]:
    """The terms of one vocabulary."""
    terms: list[dict[str, Any]] = load(DATA / f"{name}.toml")["terms"]
    return terms


each_vocabulary = pytest.mark.parametrize("path", VOCABULARIES, ids=lambda path: path.stem)


def test_every_needed_vocabulary_is_there() -> None:
    assert {path.stem for path in VOCABULARIES} >= REQUIRED


@each_vocabulary
def test_vocabulary_is_named_by_its_file_and_described(path: Path) -> None:
    vocabulary = load(path)
    assert vocabulary["name"] == path.stem
    assert set(vocabulary["title"]) == LANGUAGES
    assert all(text.strip() for text in vocabulary["title"].values())
    assert vocabulary["definition"].endswith(".")
    assert vocabulary["terms"]


@each_vocabulary
def test_codes_are_unique_and_well_formed(path: Path) -> None:
    codes = [term["code"] for term in load(path)["terms"]]
    pattern = CODES_OF_STANDARDS.get(path.stem, CODE)
    assert len(codes) == len(set(codes))
    assert [code for code in codes if not pattern.fullmatch(code)] == []


@each_vocabulary
def test_every_term_has_a_label_in_each_language_and_a_definition(path: Path) -> None:
    for term in load(path)["terms"]:
        assert set(term["label"]) == LANGUAGES, term["code"]
        assert all(text and text == text.strip() for text in term["label"].values()), term["code"]
        assert term["definition"].endswith("."), term["code"]


@each_vocabulary
def test_labels_tell_the_terms_of_one_vocabulary_apart(path: Path) -> None:
    terms = load(path)["terms"]
    for language in LANGUAGES:
        labels = [term["label"][language] for term in terms]
        assert sorted(label for label in set(labels) if labels.count(label) > 1) == [], language


@each_vocabulary
def test_labels_keep_to_the_letters_of_their_language(path: Path) -> None:
    vocabulary = load(path)
    for label in [vocabulary["title"], *(term["label"] for term in vocabulary["terms"])]:
        assert not NOT_BELARUSIAN & set(label["be"]), label["be"]
        assert not NOT_RUSSIAN & set(label["ru"]), label["ru"]


def test_belarusian_labels_are_not_copies_of_the_russian_ones() -> None:
    labels = [term["label"] for path in VOCABULARIES for term in load(path)["terms"]]
    same = [label["be"] for label in labels if label["be"] == label["ru"]]
    assert len(same) < len(labels) / 10, same


@each_vocabulary
def test_broader_terms_exist_and_form_no_circle(path: Path) -> None:
    broader = {term["code"]: term.get("broader") for term in load(path)["terms"]}
    for code in broader:
        seen = [code]
        while (parent := broader[seen[-1]]) is not None:
            assert parent in broader, f"{seen[-1]}: {parent}"
            assert parent not in seen, code
            seen.append(parent)


@each_vocabulary
def test_codes_of_standards_are_text(path: Path) -> None:
    for term in load(path)["terms"]:
        for standard, code in term.get("standard", {}).items():
            assert re.fullmatch(r"[a-z][a-z0-9_]*", standard), term["code"]
            assert isinstance(code, str), term["code"]
            assert not standard.startswith("huridocs_") or re.fullmatch(r"\d{12}", code), term["code"]


def test_every_sentence_kind_says_whether_it_is_custodial() -> None:
    assert [
        term["code"]
        for term in terms_of("sentence_kind")
        if not isinstance(term.get("custodial"), bool) and term["code"] != "unknown"
    ] == []


def test_custody_marks_the_place_of_custody_and_all_that_is_narrower() -> None:
    terms = {term["code"]: term for term in terms_of("organisation_kind")}
    for code, term in terms.items():
        parent = term.get("broader")
        held = code == "place_of_custody" or (parent is not None and terms[parent].get("custody", False))
        assert term.get("custody", False) is held, code


def test_measures_name_their_kind_and_a_known_unit() -> None:
    units = {term["code"] for term in terms_of("unit")}
    measures = {term["code"]: term for term in terms_of("measure")}
    assert {code for code, term in measures.items() if term["kind"] != "statement"} == MEASURES
    assert {term["kind"] for term in measures.values()} == {"flow", "stock", "statement"}
    assert {term["unit"] for term in measures.values() if "unit" in term} <= units


def test_rates_are_dated_positive_and_in_order() -> None:
    units = {term["code"]: term for term in terms_of("unit")}
    by_series: dict[tuple[str, str, str], list[date]] = {}
    for rate in load(RATES)["rates"]:
        assert units[rate["unit"]]["monetary"], rate
        assert units[rate["currency"]]["standard"]["iso_4217"] == rate["currency"], rate
        assert isinstance(rate["amount"], str), rate
        assert Decimal(rate["amount"]) > 0, rate
        assert rate["source"], rate
        series = (rate["jurisdiction"], rate["unit"], rate["currency"])
        by_series.setdefault(series, []).append(date.fromisoformat(rate["valid_from"]))
    for dates in by_series.values():
        assert dates == sorted(set(dates))
