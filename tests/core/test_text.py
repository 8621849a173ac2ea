"""Base types: what text and numbers from outside become, and what is refused without repeating it."""

import json
import os
import re
import unicodedata
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.core import text

TYPES: dict[str, TypeAdapter[Any]] = {
    name: TypeAdapter(getattr(text, name))
    for name in (
        "Line",
        "Prose",
        "Code",
        "Key",
        "Unit",
        "CriterionCode",
        "Language",
        "Script",
        "Url",
        "Sha256",
        "Count",
        "Small",
        "Amount",
    )
}

KEPT = [
    ("Line", "Ціханоўскі", "Ціханоўскі"),
    ("Line", "  two words ", "two words"),
    ("Line", "trailing break\n", "trailing break"),
    ("Line", "Mahiliou\u0306", "Mahiliŏu".replace("ŏu", "oŭ")),
    ("Line", "x" * 300, "x" * 300),
    ("Line", "👩\u200d👩\u200d👧 سلام \u200f", "👩\u200d👩\u200d👧 سلام \u200f"),
    ("Prose", "a\r\nb\rc\n\td\n", "a\nb\nc\n\td"),
    ("Prose", "x" * 20_000, "x" * 20_000),
    ("Code", "home_confinement", "home_confinement"),
    ("Key", "BY-CC-361-1", "BY-CC-361-1"),
    ("Key", "BY-AC-24.15", "BY-AC-24.15"),
    ("Key", "BY-CC-x-treason", "BY-CC-x-treason"),
    ("Language", "be", "be"),
    ("Language", "BE-TARASK", "be-tarask"),
    ("Language", "sr-latn-rs", "sr-Latn-RS"),
    ("Language", "es-419", "es-419"),
    ("Language", "be-X-Old", "be-x-old"),
    ("Language", "be-1959acad", "be-1959acad"),
    ("Unit", "base_value", "base_value"),
    ("Unit", "BYN", "BYN"),
    ("CriterionCode", "WGAD-II", "WGAD-II"),
    ("CriterionCode", "PACE-1900-A", "PACE-1900-A"),
    ("Script", "Cyrl", "Cyrl"),
    ("Url", "https://spring96.org/be/news/114000?a=1#b", "https://spring96.org/be/news/114000?a=1#b"),
    ("Url", "http://example.org:8080", "http://example.org:8080"),
    ("Url", "https://t.me/s/channel/@name", "https://t.me/s/channel/@name"),
    ("Url", "https://be.wikipedia.org/wiki/Ціханоўскі", "https://be.wikipedia.org/wiki/Ціханоўскі"),
    ("Url", "https://xn--d1acpjx3f.xn--90ais/", "https://xn--d1acpjx3f.xn--90ais/"),
    ("Url", "https://пошта.бел/", "https://пошта.бел/"),
    ("Sha256", "AB" * 32, "ab" * 32),
    ("Count", 1, 1),
    ("Count", 1_000_000_000, 1_000_000_000),
    ("Count", 12.0, 12),
    ("Small", 0, 0),
    ("Small", 32_767, 32_767),
    ("Amount", "1250.50", Decimal("1250.50")),
    ("Amount", 0, Decimal(0)),
    ("Amount", 1234.56, Decimal("1234.56")),
    ("Amount", 0.1 + 0.2, Decimal("0.3")),
    ("Amount", -0.0, Decimal(0)),
    ("Amount", "99999999999999.9999", Decimal("99999999999999.9999")),
    ("Amount", Decimal("40.00"), Decimal("40.00")),
]

UNSAFE = [
    "\x00", "\x01", "\x08", "\x0b", "\x0c", "\x1b", "\x1c", "\x1f", "\x7f", "\x80", "\x85", "\x9f", "\ud800", "\udfff",
    "\u202a", "\u202e", "\u2066", "\u2069", "\ufeff", "\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0001fffe",
    "\U0010ffff",
]  # fmt: skip


def _each(name: str, *values: object) -> list[tuple[str, object]]:
    return [(name, value) for value in values]


REFUSED = [
    *_each("Line", "", " ", "\u00a0", "\n", "a\nb", "a\tb", "a\rb", "a\u2028b", "x" * 301, 1, None, True),
    *_each("Line", "\u0958" * 300),  # grows under NFC
    *_each("Prose", "", " \n\t", "x" * 20_001, "\u0958" * 20_000, 1, None, ["a"]),
    *_each("Code", "", "A", "1a", "_a", "a-b", "a b", "a\n", "é", "a" * 65, "a\x00"),
    *_each("Key", "", "-a", ".a", "a/b", "a b", "a\n", "БУ", "a" * 65, ".."),
    *_each("Unit", "", "BY", "BYNN", "Byn", "base-value", "BYN\n", "€"),
    *_each("CriterionCode", "", "WGAD", "wgad-i", "WGAD-", "-I", "WGAD--I", "WGAD-I\n", "A-B-C-D-E"),
    *_each("Language", "", "b", "belarusian", "be_BY", "be-", "-be", "be-x", "be\n", "б", "be-" + "a" * 40),
    *_each("Script", "", "cyrl", "CYRL", "Cyr", "Cyrll", "Cyrl\n"),
    *_each("Sha256", "", "ab" * 31, "ab" * 33, "zz" * 32, "ab" * 32 + "\n", "0x" + "ab" * 31),
    *_each("Count", 0, -1, 1_000_000_001, 2**63, 10**400, 1.5, True, "12", None, float("nan"), float("inf")),
    *_each("Small", -1, 32_768, 2**31, True, "0", None, [], float("nan")),
    *_each("Amount", "", "-1", "+1", "1e3", "1_000", "1,5", " 1", "1 ", "1\n", "1.", ".5", "١٢", "NaN", "Infinity"),
    *_each("Amount", "1.00001", "100000000000000", "0" * 5000, -1, -0.01, 0.12345, 5e-324, 1e300, 10**400),
    *_each("Amount", float("nan"), float("inf"), True, None, [], {}, Decimal("NaN"), Decimal(-1)),
]
ADDRESSES = [
    "", "example.org", "//example.org", "ftp://example.org", "javascript:alert(1)", "data:text/html,x", "file:///etc/passwd",
    "HTTP://example.org", "https://", "https:///path", "https://user@example.org", "https://user:secret@example.org/",
    "https://example.org:0/", "https://example.org:65536/", "https://example.org:/", "https://example.org\\@evil.org",
    "https://a b.org", "https://example.org/a b", "https://example.org/\n", "https://example.org/<x>", 'https://example.org/"x',
    "https://.example.org", "https://example..org", "https://exam_ple.org", "https://[::1]/", "https://example.org/\u202e",
    "https://example.org/\x00", "https://example.org/" + "a" * 2_000, " https://example.org", 1, None,
]  # fmt: skip


def _naughty() -> list[str]:
    """Return the naughty strings of the test data that is kept apart, whose folder is named by CHRONIKA_TEST_DATA."""
    root = os.environ.get("CHRONIKA_TEST_DATA")
    path = Path(root or ".") / "naughty-strings" / "blns.json"
    if not root or not path.is_file():
        pytest.skip("set CHRONIKA_TEST_DATA to a folder that has naughty-strings/blns.json")
    strings: list[str] = json.loads(path.read_text("utf-8"))
    return strings


def _messages(name: str, value: object) -> list[str]:
    try:
        TYPES[name].validate_python(value)
    except ValidationError as error:
        return [f"{found['msg']} {found.get('ctx')}" for found in error.errors(include_input=False)]
    return []


def _schema_pattern(name: str) -> str:
    pattern: str = TYPES[name].json_schema()["pattern"]
    return pattern.removesuffix("$") + r"\Z"


@pytest.mark.parametrize(("name", "value", "kept"), KEPT)
def test_a_good_value_is_kept_in_its_normal_form(name: str, value: object, kept: object) -> None:
    found = TYPES[name].validate_python(value)
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize(("name", "value"), REFUSED)
def test_a_bad_value_is_refused(name: str, value: object) -> None:
    assert _messages(name, value)


@pytest.mark.parametrize("value", ADDRESSES)
def test_a_bad_address_is_refused(value: object) -> None:
    assert _messages("Url", value)


@pytest.mark.parametrize("character", UNSAFE)
@pytest.mark.parametrize("name", ["Line", "Prose", "Url"])
def test_unsafe_characters_are_refused_wherever_they_stand(name: str, character: str) -> None:
    prefix = "https://example.org/" if name == "Url" else ""
    for value in (f"{prefix}{character}ab", f"{prefix}a{character}b", f"{prefix}ab{character}"):
        assert _messages(name, value), ascii(value)


@pytest.mark.parametrize("name", TYPES)
def test_a_refusal_never_repeats_the_value(name: str) -> None:
    secret = "zqsecretqz"
    for value in (secret + "\x00", f"https://{secret}@example.org", secret.upper() * 5_000, f"-{secret} {secret}"):
        assert secret not in " ".join(_messages(name, value)).lower()
    assert _messages(name, secret + "\x00")


@pytest.mark.parametrize("name", TYPES)
def test_naughty_strings_are_kept_or_refused_and_nothing_else(name: str) -> None:
    for value in _naughty():
        try:
            TYPES[name].validate_python(value)
        except ValidationError:
            continue


def test_naughty_strings_that_are_kept_can_be_encoded_and_are_stable() -> None:
    for name in ("Line", "Prose"):
        for value in _naughty():
            if not _messages(name, value):
                kept = TYPES[name].validate_python(value)
                assert kept.encode("utf-8").decode("utf-8") == kept
                assert TYPES[name].validate_python(kept) == kept


@given(st.text(max_size=320))
def test_kept_text_is_normal_stripped_bounded_and_stable(value: str) -> None:
    for name, limit in (("Line", text.LINE_LENGTH), ("Prose", text.PROSE_LENGTH)):
        if _messages(name, value):
            continue
        kept = TYPES[name].validate_python(value)
        assert kept
        assert kept == kept.strip() == unicodedata.normalize("NFC", kept)
        assert len(kept) <= limit
        assert TYPES[name].validate_python(kept) == kept
        assert re.search(_schema_pattern(name), kept)


@given(
    st.data(),
    st.sampled_from(["Line", "Prose", "Code", "Key", "Unit", "CriterionCode", "Language", "Script", "Url", "Sha256"]),
)
def test_what_a_schema_describes_is_accepted(data: st.DataObject, name: str) -> None:
    schema = TYPES[name].json_schema()
    value = data.draw(st.from_regex(_schema_pattern(name)))
    astral_noncharacter = any(ord(character) & 0xFFFE == 0xFFFE for character in value)
    if schema["minLength"] <= len(value) <= schema["maxLength"] and not astral_noncharacter:
        assert not _messages(name, value)


@given(st.decimals(min_value=0, max_value=Decimal("99999999999999.9999"), places=4))
def test_an_amount_survives_being_answered_and_sent_back(amount: Decimal) -> None:
    answered = TYPES["Amount"].dump_python(TYPES["Amount"].validate_python(str(amount)), mode="json")
    assert isinstance(answered, str)
    assert re.search(TYPES["Amount"].json_schema(mode="serialization")["pattern"], answered)
    assert TYPES["Amount"].validate_python(answered) == amount


@given(st.integers(min_value=0, max_value=10**11))
def test_a_floating_amount_is_read_as_the_decimal_it_was_written_as(ten_thousandths: int) -> None:
    written = Decimal(ten_thousandths) / 10_000
    assert TYPES["Amount"].validate_python(float(written)) == written
    assert TYPES["Amount"].validate_python(ten_thousandths * 0.0001) == written


@pytest.mark.parametrize(
    "name", ["Line", "Prose", "Code", "Key", "Unit", "CriterionCode", "Language", "Script", "Url", "Sha256"]
)
def test_the_schema_of_a_text_bounds_its_length_and_characters(name: str) -> None:
    schema = TYPES[name].json_schema()
    assert schema["type"] == "string"
    assert 1 <= schema["minLength"] <= schema["maxLength"]
    assert schema["pattern"].startswith("^")
    assert schema["pattern"].endswith("$")


def test_the_schema_of_a_number_gives_its_range() -> None:
    assert TYPES["Count"].json_schema() == {"type": "integer", "minimum": 1, "maximum": 1_000_000_000}
    assert TYPES["Small"].json_schema() == {"type": "integer", "minimum": 0, "maximum": 32_767}
    given_as = TYPES["Amount"].json_schema()["anyOf"]
    assert [shape["type"] for shape in given_as] == ["string", "number"]
    assert TYPES["Amount"].json_schema(mode="serialization")["type"] == "string"
