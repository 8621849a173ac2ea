"""What somebody typed, as the questions that PostgreSQL's `search_names` asks of the keys, the strictest first."""

from collections.abc import Sequence

from app.core.fold import readings, words_of
from app.core.given_names import other_forms

MOST_ASKED = 12
"""Words of a query that count; nobody has more names, and every word costs."""

LEAST_PREFIX = 2
"""Letters from which the last word may be unfinished; one letter is an initial."""

FALSE_ENDS = {"k": "g", "c": "g", "4": "g"}
"""Last letter of an unfinished word → what it may become once the h of kh or ch is typed."""


def _unfinished(word: str) -> set[str]:
    """Return the beginnings of folded words that an unfinished one can be: vowels at its end may yet go or change."""
    found = set()
    for form in readings(word, whole=False):
        stem = form.rstrip("ai") if len(form.rstrip("ai")) > LEAST_PREFIX else form
        found |= {stem, stem[:-1] + FALSE_ENDS.get(stem[-1], stem[-1])}
    return {f for f in found if len(f) >= LEAST_PREFIX}


def _forms(found: tuple[str, ...]) -> set[str]:
    return {*found, *(other for form in found for other in other_forms(form))}


def _any(words: Sequence[str]) -> str:
    return "(" + " | ".join(words) + ")"


def _every(words: Sequence[str]) -> str:
    return " & ".join(words)


def _question(found: list[tuple[str, tuple[str, ...]]], *, unfinished: bool) -> tuple[list[str], list[str]]:
    """Return the alternatives of each word, and those of the words that are more than an initial."""
    words, full = [], []
    for n, (word, forms) in enumerate(found):
        if len(forms[0]) == 1:
            words.append(_any([forms[0].upper()]))
            continue
        alternatives = sorted(_forms(forms))
        if unfinished and n == len(found) - 1:
            alternatives += sorted(f"{stem}:*" for stem in _unfinished(word))
        full.append(_any(alternatives))
        bare = sorted({form[0] for form in forms}) if len(found) > 1 else []
        words.append(_any([*alternatives, *bare]))
    return words, full


def asked(text: str) -> list[str]:
    """Return the folded text, then one to three questions as text of `tsquery`; only letters a-z, A-Z and digits occur.

    Each word may be in any of its readings, or the same given name in another form, or its bare initial; a single
    letter is the initial of any word. If nothing has all words so, the last may be unfinished; and then, of three words
    and more, one may be missing (a patronymic).
    """
    found = [(word, forms) for word in words_of(text) if (forms := readings(word))][:MOST_ASKED]
    folded = " ".join(forms[0] for _, forms in found)
    words, full = _question(found, unfinished=False)
    if not full:  # initials alone are asked for as they stand: half of all names have such letters
        return [folded, _every([_any(forms[:1]) for _, forms in found])]
    questions = [_every([*words, _any(full)])]
    words, full = _question(found, unfinished=True)
    questions.append(_every([*words, _any(full)]))
    if len(words) > 2:  # noqa: PLR2004 -- of two words each is needed
        some = [_any([_every(words[:n] + words[n + 1 :])]) for n in range(len(words))]
        questions.append(_every([_any(some), _any(full)]))
    return [folded, *questions]
