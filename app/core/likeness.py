"""How alike two names are: 0 for nothing in common, 1 for the same words in any order and spelling."""

from functools import lru_cache
from itertools import product

from app.core.fold import readings, words_of
from app.core.given_names import other_forms

PARTICLES = frozenset(
    word
    for words in ("al el ad as ar an bin ben ibn bint abd", "de da di du del della la le von van der den und y")
    for word in words.split()
)
"""Small words that come and go between spellings of one name, as `words_of` gives them."""

TITLES = frozenset(
    word
    for words in ("mr mrs ms dr prof sir monsieur madame president prasident general", "haji mullah shaikh sheikh")
    for word in words.split()
)
"""Words before a name that are none, likewise."""

SAME_NAME = 0.95
"""Worth of a given name in its form of another language, or its everyday form."""

INITIAL = 0.85
"""Worth of an initial that fits."""

LEAST_WORD = 0.66
"""Two words less alike than this are two words."""

EXTRA = 0.06
"""What a word costs that only one of the names has, such as a patronymic."""

LONE = 0.70
"""The most that one word can say of a name of several."""


def distance(one: str, other: str, most: int) -> int:
    """Return how many letters must be changed, added, dropped or swapped with their neighbour to make one the other.

    Beyond `most` the exact number does not matter, and anything greater is returned. The rows of the table of distances
    are the bits of integers, one row a letter of `other` (Hyyrö 2003, "A Bit-Vector Algorithm for Computing Levenshtein
    and Damerau Edit Distances"), so that a row costs the same for words of any length.
    """
    if abs(len(one) - len(other)) > most or len(set(one) - set(other)) > most or len(set(other) - set(one)) > most:
        return most + 1
    if not one:
        return len(other)
    every, last = (1 << len(one)) - 1, 1 << (len(one) - 1)
    places: dict[str, int] = {}
    for n, letter in enumerate(one):
        places[letter] = places.get(letter, 0) | 1 << n
    down, up, same, before = every, 0, 0, 0  # where the column goes up or down by one, is as diagonally before
    apart = len(one)
    for letter in other:
        here = places.get(letter, 0)
        swapped = ((~same & here) << 1) & before
        same = ((((here & down) + down) ^ down) | here | up | swapped) & every
        right, left = up | (every & ~(same | down)), same & down
        apart += ((right & last) > 0) - ((left & last) > 0)
        right = right << 1 | 1
        down, up = (left << 1 | ~(same | right)) & every, right & same & every
        before = here
    return apart


@lru_cache(maxsize=65_536)
def of_words(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """Compare two words by their closest readings; 0 for two that are two words."""
    if not set(one).isdisjoint(other):
        return 1.0
    if len(one[0]) == 1 or len(other[0]) == 1:
        return INITIAL if {f[0] for f in one} & {f[0] for f in other} else 0.0
    if any(b in other_forms(a) for a, b in product(one, other)):
        return SAME_NAME
    return max(_alike(a, b) for a, b in product(one[:2], other[:2]))


def _alike(one: str, other: str) -> float:
    longest = max(len(one), len(other))
    most = int((1 - LEAST_WORD) * longest)
    apart = distance(one, other, most)
    return 1 - apart / longest if apart <= most else 0.0


Words = tuple[tuple[str, ...], ...]


@lru_cache(maxsize=65_536)
def telling(name: str) -> Words:
    """Return the words that tell who is meant, each as its readings: without titles and particles, if any are left."""
    words = words_of(name)
    kept = [w for w in words if w not in PARTICLES and w not in TITLES] or words
    return tuple(found for w in dict.fromkeys(kept) if (found := readings(w)))


def _pairs(short: Words, long: Words) -> list[tuple[float, int, int]]:
    """Pair the words of the shorter name with those of the longer, the most alike first."""
    every = ((of_words(a, b), -n, -m) for (n, a), (m, b) in product(enumerate(short), enumerate(long)))
    likely = sorted((e for e in every if e[0] >= LEAST_WORD), reverse=True)
    taken_short: set[int] = set()
    taken_long: set[int] = set()
    found = []
    for alike, n, m in likely:
        if n not in taken_short and m not in taken_long:
            taken_short.add(n)
            taken_long.add(m)
            found.append((alike, -n, -m))
    return found


@lru_cache(maxsize=65_536)
def of_names(one: str, other: str) -> float:
    """Compare two names; every word of the shorter must have its like in the longer, or the names are two."""
    short, long = sorted((telling(one), telling(other)), key=len)
    if not short:
        return 0.0
    return max(_by_words(short, long), _written_together(short, long))


def _by_words(short: Words, long: Words) -> float:
    pairs = _pairs(short, long)
    weights = {n: max(len(short[n][0]), 2) for n in range(len(short))}
    alike = sum(a * weights[n] for a, n, _ in pairs) / sum(weights.values())
    missing = len(short) - len(pairs)
    score = alike - 0.3 * missing - EXTRA * (len(long) - len(short))
    full = sum(len(short[n][0]) > 1 and len(long[m][0]) > 1 for _, n, m in pairs)
    if full == 0 or (full == 1 == len(short) < len(long)):
        score = min(score, LONE)
    return max(score, 0.0)


def _written_together(short: Words, long: Words) -> float:
    """Compare names of which one runs words together that the other parts."""
    if len(short) == len(long):
        return 0.0
    one, other = ("".join(w[0] for w in words) for words in (short, long))
    longest = max(len(one), len(other))
    most = longest // 8
    apart = distance(one, other, most)
    return 0.97 * (1 - 2 * apart / longest) if apart <= most else 0.0
