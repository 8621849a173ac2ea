"""The fold: one key for the spellings of a name in Belarusian, Russian, łacinka, Polish and English letters.

A word is read into a small alphabet (a i v, b d f g k l m n p r s t z, 4 for the sound of church, digits), in which
the habits of the romanisations and the differences between Belarusian and Russian spelling are gone. A Latin spelling
that can be read in several ways (`ch` is English for 4, łacinka for g) has several readings, the likeliest first.
The tables below are the whole of it; docs/names.md explains each line. Change them, and VERSION must change too: the
keys of all names are then made anew by `chronika db upgrade`.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import product

from anyascii import anyascii

VERSION = 3

MOST_READINGS = 6
"""Readings kept of one word; the likeliest come first."""

MOST_WORDS = 24
"""Words kept of one name; the rest are passed over."""

LONGEST = 40
"""Letters kept of one word."""

CYRILLIC = str.maketrans(
    {
        **dict(zip("абвгґдезийіклмнопрстуфхцчшщыэєў", "abvggdeziiiklmnoprstufgt4ssieew", strict=True)),
        "ж": "z",
        "ё": "io",
        "ю": "iu",
        "я": "ia",
        "ї": "i",
        "ѣ": "e",
        "ъ": "",
        "ь": "",
        "ј": "i",
        "ђ": "z",
        "љ": "l",
        "њ": "n",
        "ћ": "4",
        "џ": "z",
        "қ": "k",
        "ғ": "g",
        "ұ": "u",
        "ү": "u",
        "ө": "o",
        "ә": "a",
    }
)
"""Cyrillic letter → sounds. Г and х are one (h is written for both), as are ц and т (Belarusian ці is Russian ти)."""

LETTERS = str.maketrans(
    {
        **dict.fromkeys("šśşșŝ", "s"),
        **dict.fromkeys("žźżẑ", "z"),
        "č": "4",
        "ŭ": "w",
        "ł": "l",
        "ć": "ç",
        "ě": "ie",
    }
)
"""Latin letters whose sign is more than an accent; of ą, ę and ó, too, all other accents are dropped."""

KEPT = "çąęó"
"""Signs that the rules below read: Polish nasals and ó, and what ć has become."""

LACINKA = re.compile("[ŭłśźńćčšžĺ]")
"""A word with any of these is łacinka, Polish or Czech: there c is only ц and ch only х."""

FRENCH = re.compile("tch|ï")
"""A word with any of these may be French: there ch is ш."""

WOLF = re.compile("^(ст|[вдпктмсжшчхгб])[оа]ў(?=[кгчжнбптмд]|с[^к])")
"""Belarusian оў, аў before a consonant in a first syllable may be Russian ол: Воўк, Волк; Таўкачоў, Толкачёв."""

Rule = tuple[str, tuple[str, ...]]

LATIN: tuple[Rule, ...] = (
    ("^[jy]$", ("i", "u", "a")),
    ("v(?=[oa]n)(?:(?<=^liav)|(?<=^lav)(?=o)|(?<=^radziv)|(?<=^laryv))", ("v", "")),
    ("dzh|dž|dż|dsch", ("z",)),
    ("dj", ("z", "di")),
    ("shch|szcz|stsch|schtsch|s4", ("s",)),
    ("tsch|tch|tsh|cz", ("4",)),
    ("sch|sh|sz", ("s",)),
    ("zh", ("z",)),
    ("khv|chv", ("gv", "f")),
    ("kh|gh", ("g",)),
    ("ch", ("4", "g")),
    ("ph", ("f",)),
    ("th", ("t",)),
    ("tz|ts", ("t",)),
    ("ck(?=[iyae])", ("tk", "k")),
    ("ck", ("k", "tk")),
    ("c(?=[eiy])", ("t", "4", "s")),
    ("c$", ("4", "t", "k")),
    ("c", ("k", "t", "4")),
    ("ç", ("t", "4")),
    ("x", ("ks",)),
    ("qu?", ("k",)),
    ("ą(?=[bp])", ("am", "a")),
    ("ą", ("an", "a")),
    ("ę(?=[bp])", ("am", "a")),
    ("ę", ("an", "a")),
    ("ó", ("u", "o")),
    ("oo", ("u", "o")),
    ("oe", ("oe", "u")),
    ("ee", ("e", "i")),
    ("^(st|[bdgkhmpstvwz4])[oa][uw](?=[kgh4znbptmd]|s[^k])", (r"\g<0>", r"\1ol")),
    ("ou(?=[bdfgklmnprstz])", ("ou", "u")),
    ("ff(?<=[oe]ff)$", ("v",)),
    ("ine(?<=[a-z]{3}ine)$", ("ine", "in")),
    ("gu(?=[eiy])", ("gu", "g")),
    ("zk(?<=[ai]zk)(?=[iy]j?$|a[jy]a$)", ("zk", "tk")),
    ("rz(?<=[kpt]rz)", ("rz", "s", "z")),
    ("rz", ("rz", "z")),
    ("^j(?=[aeiou])", ("i", "z")),
    ("[jy]", ("i",)),
    ("iu(?<=[a-z4]iu)(?=[bdfghkmnpstz4])", ("iu", "iw")),
    ("h", ("g",)),
    ("w", ("v",)),
)
"""What Latin letters stand for, in this order; several values are several readings of the whole word."""

IN_LACINKA: tuple[Rule, ...] = (("szcz", ("s",)), ("cz", ("4",)), ("ch", ("g",)), ("c|ç", ("t",)))
"""These go first in a word that shows itself to be łacinka."""

IN_FRENCH: tuple[Rule, ...] = (("(?<![ts])ch", ("s", "4", "g")),)
"""This goes first in a word that may be French."""

COMMON: tuple[tuple[str, str], ...] = (
    ("i+", "i"),
    ("i(?=[aeou])", ""),
    ("[uw]", "v"),
    ("[eo]", "a"),
    ("dz", "d"),
    ("t[sz]", "t"),
    ("s[z4]", "s"),
    ("st(?=[nl])", "s"),
    (r"(.)\1+", r"\1"),
)
"""Where Belarusian, Russian and their romanisations differ: iotation, ў/в/у, akanie, дз/д, ц/т, сн/стн, doubles."""

ENDINGS: tuple[tuple[str, str], ...] = (
    ("(?<=[bdgkpt])ar$", "r"),
    ("(?<=[^aiv0-9][^aiv0-9])i$|(?<=[av][^aiv0-9])i$|(?<=i[^aiv0-9])i$", ""),
)
"""Ends of words: Alaksandar and Aleksandr, -ski and -sky and -skij, Vital and Vitaly."""

BETWEEN_VOWELS = re.compile("в(?=[оа]н)(?:(?<=^ляв)|(?<=^радзів)|(?<=^ларыв))")
"""Belarusian has в between the vowels of Леон, Родион, Ларион: Лявонаў is Леонов, Радзівонаў is Родионов."""

TWINS_LATIN = "aceiopxykmhtbë"
TWINS_CYRILLIC = "асеіорхукмнтвё"
TO_CYRILLIC = str.maketrans(TWINS_LATIN, TWINS_CYRILLIC)
TO_LATIN = str.maketrans(TWINS_CYRILLIC, TWINS_LATIN)
"""Letters that look alike; a word that mixes the scripts is read in the one that it could not be written without."""

_JOINED = re.compile(
    r"[\u0027\u2018\u2019\u02bc\u02b9\u02bb\u0060\u00b4\u02c8\u02ba]"  # apostrophes, and primes for soft and hard signs
    r"|(?<=[a-z])[\u00b7\u201d\u2033\u0022](?=[a-z])"  # BGN's middle dot, its double prime
)
_WORD = re.compile(r"[^\W_]+")
_CYRILLIC = re.compile("[\u0400-\u052f]")
_LATIN = re.compile("[a-z\u00df-\u024f]")
_RULES = {pattern: re.compile(pattern) for pattern, _ in (*LATIN, *IN_LACINKA, *IN_FRENCH, *COMMON, *ENDINGS)}


def words_of(text: str) -> list[str]:
    """Split a name into its words in lower case: signs, emoji and marks without a letter of their own are dropped."""
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold())
    plain = _JOINED.sub("", plain)
    plain = "".join(c for c in plain if unicodedata.category(c) not in {"Mn", "Me", "Cf"})
    return _WORD.findall(plain)[:MOST_WORDS]


def _in_one_script(word: str) -> str:
    """Read look-alike letters in the script of the letters that have no twin in the other."""
    cyrillic, latin = _CYRILLIC.findall(word), _LATIN.findall(word)
    if not (cyrillic and latin):
        return word
    only = sum(c not in TWINS_CYRILLIC for c in cyrillic) - sum(c not in TWINS_LATIN for c in latin)
    return word.translate(TO_CYRILLIC if (only, len(cyrillic)) >= (0, len(latin)) or only > 0 else TO_LATIN)


def _apply(form: str, rules: tuple[tuple[str, str], ...]) -> str:
    """Apply rules, one after the other, again and again until nothing changes."""
    while True:
        before = form
        for pattern, value in rules:
            form = _RULES[pattern].sub(value, form)
        if form == before:
            return form


def _read_latin(word: str) -> list[str]:
    """Return the ways to read a word in Latin letters; one way of reading a sign holds for the whole word."""
    rules = LATIN
    if LACINKA.search(word):
        rules = (*IN_LACINKA, *LATIN)
    elif FRENCH.search(word):
        rules = (*IN_FRENCH, *LATIN)
    plain = word.replace("dž", "dzh").replace("dż", "dzh").translate(LETTERS)
    plain = "".join(c if c in KEPT else anyascii(c).lower() for c in plain)
    forms = [re.sub(f"[^a-z0-9{KEPT}]", "", plain)]
    for pattern, values in rules:
        rule = _RULES[pattern]
        if any(map(rule.search, forms)):
            forms = [rule.sub(v, f) for v, f in product(values, forms)][: 2 * MOST_READINGS]
    return forms


@lru_cache(maxsize=65_536)
def readings(word: str, *, whole: bool = True) -> tuple[str, ...]:
    """Return the folded readings of one word as `words_of` gives it, the likeliest first; () if nothing is left.

    `whole=False` is for a word that is still being typed: the ends of words are then not touched.
    """
    word = _in_one_script(word)
    if _CYRILLIC.search(word):
        words = dict.fromkeys([word, WOLF.sub(r"\1ол", word), BETWEEN_VOWELS.sub("", word), word.replace("хв", "ф")])
        plain = [w.replace("дж", "z").translate(CYRILLIC) for w in words]
        forms = [_read_latin(p)[0] for p in plain]  # Latin letters may be among them
    else:
        forms = _read_latin(word)
    rules = (*COMMON, *ENDINGS) if whole else COMMON
    found = dict.fromkeys(_apply(f, rules)[:LONGEST] for f in forms)
    return tuple(f for f in found if f)[:MOST_READINGS]


def fold(text: str) -> str:
    """Return the key of a name: its words folded, each with its further readings behind `/`; may be empty."""
    return " ".join("/".join(found) for word in words_of(text) if (found := readings(word)))


def canonical(folded: str) -> str:
    """Return a folded name with only the first reading of each word."""
    return re.sub("/[^ ]*", "", folded)
