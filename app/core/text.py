"""Base types for text and numbers from outside, checked and normalised once.

Every refusal says what is wrong and never repeats the value, so a message may be logged and answered.
Lengths are in characters (Unicode code points). The patterns in the JSON schemas say what is enforced, but for what a
short portable pattern cannot: lone surrogates, noncharacters beyond the first plane, growth under NFC, and the strange
spaces and line breaks that are stripped from the ends.
"""

import math
import re
import unicodedata
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

LINE_LENGTH = 300
PROSE_LENGTH = 20_000
URL_LENGTH = 2_000
LANGUAGE_LENGTH = 35

# Controls (C0, DEL, C1) but tab and line breaks; bidirectional embeddings, overrides and isolates, which can make text
# read as other than it is; the byte order mark; noncharacters (Unicode 16, section 23.7) of the first plane.
_UNSAFE = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufeff\ufffe\uffff"
_BREAKS = r"\t\n\r\u2028\u2029"
_NONCHARACTERS = "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))

_REFUSED = re.compile(rf"[{_UNSAFE}\ud800-\udfff{_NONCHARACTERS}]")
_BREAK = re.compile(rf"[{_BREAKS}]")

LINE_PATTERN = rf"^ *[^\s{_UNSAFE}][^{_UNSAFE}{_BREAKS}]*$"
PROSE_PATTERN = rf"^[ \t\n\r]*[^\s{_UNSAFE}][^{_UNSAFE}]*$"


def _clean(value: str) -> str:
    """Return the text in NFC without surrounding space, refusing characters that are unsafe to keep or to show."""
    if value.isascii() and value.isprintable() and (plain := value.strip()):
        return plain  # it is all this already
    if _REFUSED.search(value):
        raise PydanticCustomError(
            "text_characters",
            "control characters, bidirectional controls, byte order marks, lone surrogates and noncharacters "
            "are not allowed",
        )
    cleaned = unicodedata.normalize("NFC", value).strip()
    if not cleaned:
        raise PydanticCustomError("text_blank", "must hold something other than spaces")
    return cleaned


def _refuse_longer(value: str, limit: int) -> str:
    # The length was checked as sent; a few characters grow under NFC.
    if len(value) > limit:
        raise PydanticCustomError("text_long", "longer than {limit} characters in Unicode form NFC", {"limit": limit})
    return value


def _line(value: str) -> str:
    cleaned = _clean(value)
    if not cleaned.isprintable() and _BREAK.search(cleaned):
        raise PydanticCustomError("text_lines", "must be a single line without tabs")
    return _refuse_longer(cleaned, LINE_LENGTH)


def _prose(value: str) -> str:
    return _refuse_longer(_clean(value.replace("\r\n", "\n").replace("\r", "\n")), PROSE_LENGTH)


Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=LINE_LENGTH),
    AfterValidator(_line),
    Field(json_schema_extra={"pattern": LINE_PATTERN}),
]
"""One line of text, 1 to 300 characters, NFC, stripped."""

Prose = Annotated[
    str,
    StringConstraints(min_length=1, max_length=PROSE_LENGTH),
    AfterValidator(_prose),
    Field(json_schema_extra={"pattern": PROSE_PATTERN}),
]
"""Text of 1 to 20,000 characters that may hold tabs and line breaks (kept as U+000A), NFC, stripped."""

Code = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$", min_length=1, max_length=64)]
"""A code of a vocabulary, such as ``home_confinement``."""

Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", min_length=1, max_length=64)]
"""A natural key, such as ``BY-CC-361-1``, ``BY-AC-24.15`` or ``BY-CC-x-treason``."""

Unit = Annotated[str, StringConstraints(pattern=r"^(?:[a-z][a-z0-9_]{0,63}|[A-Z]{3})$", min_length=1, max_length=64)]
"""What is counted or paid: a vocabulary code such as ``base_value`` or an ISO 4217 currency such as ``BYN``."""

CriterionCode = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Z][A-Z0-9]{0,15}(?:-[A-Z0-9]{1,8}){1,3}$", min_length=3, max_length=43),
]
"""A criterion in its publisher's numbering, such as ``WGAD-II`` or ``PACE-1900-A``."""

Script = Annotated[str, StringConstraints(pattern=r"^[A-Z][a-z]{3}$", min_length=4, max_length=4)]
"""A script by its ISO 15924 code, such as ``Cyrl``."""

# Language, script, region, variants and private use of BCP 47 (RFC 5646, section 2.1); no extensions or extlangs.
_LANGUAGE = (
    "^[A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?"
    "(?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*(?:-[xX](?:-[A-Za-z0-9]{1,8})+)?$"
)
_SCRIPT_SUBTAG, _REGION_SUBTAG = 4, 2


def _language(value: str) -> str:
    """Return the tag in the letter case of RFC 5646, section 2.1.1, so that equal tags are equal text."""
    first, *rest = value.lower().split("-")
    parts = [first]
    for subtag in rest:
        if "x" in parts:
            parts.append(subtag)
        elif len(subtag) == _REGION_SUBTAG:
            parts.append(subtag.upper())
        else:
            parts.append(subtag.title() if len(subtag) == _SCRIPT_SUBTAG and subtag.isalpha() else subtag)
    return "-".join(parts)


Language = Annotated[
    str,
    StringConstraints(pattern=_LANGUAGE, min_length=2, max_length=LANGUAGE_LENGTH),
    AfterValidator(_language),
]
"""A language by its BCP 47 tag in conventional case, such as ``be``, ``be-tarask`` or ``sr-Latn-RS``."""

_PORT = "6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}"
_HOST_CHARACTER = r"[0-9A-Za-z\u00c0-\u1fff\u3041-\ud7ff]"
URL_PATTERN = (
    rf"^https?://{_HOST_CHARACTER}(?:(?:\.|-+)?{_HOST_CHARACTER})*\.?(?::(?:{_PORT}))?"
    rf"(?:[/?#][^\s<>\"\\`{_UNSAFE}]*)?$"
)
_URL = re.compile(URL_PATTERN)


def _url(value: str) -> str:
    # Not normalised to NFC: another sequence of bytes may be another address.
    if _REFUSED.search(value) or _URL.fullmatch(value) is None:
        raise PydanticCustomError(
            "url",
            "must be an address such as https://example.org/page, with http or https, a host, no user name or "
            "password, and no spaces, quotation marks, angle brackets or backslashes",
        )
    return value


Url = Annotated[
    str,
    StringConstraints(min_length=8, max_length=URL_LENGTH),
    AfterValidator(_url),
    Field(json_schema_extra={"pattern": URL_PATTERN, "examples": ["https://example.org/page"]}),
]
"""A web address (http or https, no user name or password) of at most 2,000 characters, kept exactly as given."""

Sha256 = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$", min_length=64, max_length=64),
    AfterValidator(str.lower),
]
"""A SHA-256 digest as 64 hexadecimal digits, kept in lower case."""


def _number(value: object) -> object:
    # Otherwise true is read as 1 and "12" as 12, which the schema does not promise.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("number", "must be a number")
    return value


Count = Annotated[int, Field(ge=1, le=1_000_000_000), BeforeValidator(_number)]
"""How many, 1 to 1,000,000,000; for bodies, as it refuses numbers written as text."""

Small = Annotated[int, Field(ge=0, le=32_767), BeforeValidator(_number)]
"""A small number, 0 to 32,767; for bodies, as it refuses numbers written as text."""

_AMOUNT = re.compile("[0-9]{1,14}(?:[.][0-9]{1,4})?")
_AMOUNT_STRING = {"type": "string", "minLength": 1, "maxLength": 19, "pattern": r"^[0-9]{1,14}(?:\.[0-9]{1,4})?$"}
_AMOUNT_NUMBER = {"type": "number", "minimum": 0, "maximum": 99_999_999_999_999, "multipleOf": 0.0001}
_AMOUNT_PLACES = 4


def _amount(value: object) -> object:
    """Return text and floating numbers as exact decimals, forgiving a float only its binary rounding."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return Decimal(value)
    if isinstance(value, float) and math.isfinite(value):
        rounded = round(value, _AMOUNT_PLACES) or 0.0  # no minus zero
        if math.isclose(value, rounded, rel_tol=1e-14):
            return Decimal(repr(rounded))
    elif isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    raise PydanticCustomError("amount", "must be an amount such as 1250 or 1250.50, with at most 4 decimal places")


Amount = Annotated[
    Decimal,
    Field(ge=0, max_digits=18, decimal_places=_AMOUNT_PLACES, allow_inf_nan=False),
    BeforeValidator(_amount),
    WithJsonSchema({"anyOf": [_AMOUNT_STRING, _AMOUNT_NUMBER]}, mode="validation"),
    WithJsonSchema(_AMOUNT_STRING, mode="serialization"),
]
"""An amount of at least 0 with at most 14 digits before and 4 after the point, given as text or number, answered as
text."""

_NUMBER = re.compile("-?[0-9]{1,14}(?:[.][0-9]{1,6})?")
_NUMBER_STRING = {"type": "string", "minLength": 1, "maxLength": 22, "pattern": r"^-?[0-9]{1,14}(?:\.[0-9]{1,6})?$"}
_NUMBER_LIMIT = 99_999_999_999_999
_NUMBER_NUMBER = {"type": "number", "minimum": -_NUMBER_LIMIT, "maximum": _NUMBER_LIMIT}
_PLACES = 6


def _exact(value: object, places: int) -> Decimal | None:
    """Return a number of JSON as a decimal; None if it has more places than that, is too large, or is no number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _NUMBER_LIMIT:
        rounded = round(value, places)
        if math.isclose(value, rounded, rel_tol=1e-14):
            return Decimal(repr(rounded))
    return None


def _published(value: object) -> object:
    """Return a number as an exact decimal; more places than are kept are refused, not lost."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    if (number := _exact(value, _PLACES)) is not None:
        return number
    raise PydanticCustomError("number", "must be a number such as 1429 or 0.5, with at most 6 decimal places")


Number = Annotated[
    Decimal,
    BeforeValidator(_published),
    WithJsonSchema({"anyOf": [_NUMBER_STRING, {**_NUMBER_NUMBER, "multipleOf": 0.000001}]}, mode="validation"),
    WithJsonSchema({"type": "number"}, mode="serialization"),
]
"""A number with at most 14 digits before and 6 after the point, given as number or text, answered as a number."""


def _length(value: object) -> object:
    """Return a length of time as an exact decimal; more places than are kept are refused, not lost."""
    if (number := _exact(value, 3)) is not None:
        return number
    raise PydanticCustomError("number", "must be a number such as 4 or 2.5, with at most 3 decimal places")


Length = Annotated[
    Decimal,
    BeforeValidator(_length),
    WithJsonSchema({"type": "number", "minimum": 0, "multipleOf": 0.001}, mode="validation"),
    WithJsonSchema({"type": "number"}, mode="serialization"),
]
"""How long something lasts in some unit, with at most 3 decimal places; numbers only."""
