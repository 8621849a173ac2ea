"""What somebody typed, as the questions that PostgreSQL's `search_names` asks of the keys, the strictest first."""

from collections.abc import Iterable

from app.core.fold import readings, words_of
from app.core.given_names import other_forms

MOST_ASKED = 12
"""Words of a query that count; nobody has more names, and every word costs."""

MOST_PAIRED = 4
"""Full words of a query for which stored initials are looked up together: more would be a question too long."""

MOST_COMPARED = 10
"""Names of one person for which others are looked for."""

LONG = 4
"""Letters from which a slip is allowed for."""

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


def _any(words: Iterable[str]) -> str:
    return "(" + " | ".join(words) + ")"


def _every(words: Iterable[str]) -> str:
    return " & ".join(words)


def initial(form: str) -> str:
    """Return the token of a word's first letter, as PostgreSQL's `name_tokens` makes it."""
    return form[0].upper().replace("4", "C")


def _question(words: list[tuple[set[str], set[str]]], initials: list[str]) -> str:
    """Ask for all words, each in any of its forms, and all initials.

    A word comes as all its forms, and as those of the spelling asked for. It may also stand in the name as a bare
    initial beside another that is there in full.
    """
    together = _every(_any(sorted(forms)) for forms, _ in words)
    ways = [together] if len(words) == 2 else []  # noqa: PLR2004 -- of more, each other way holds it
    for n, (forms, own) in enumerate(words) if len(words) <= MOST_PAIRED else ():
        beside = [
            (sorted(other), sorted({initial(form) + full for form in other for full in own}))
            for m, (other, _) in enumerate(words)
            if m != n
        ]
        if len(words) == 2:  # noqa: PLR2004 -- the pair holds both
            ways.append(_any(beside[0][1]))
        elif beside:
            ways.append(_every([_any(sorted(forms)), *(_any(other + pairs) for other, pairs in beside)]))
    return _every([_any(f"({way})" for way in ways) if ways else together, *initials])


def asked(text: str) -> list[str]:
    """Return the folded text, then the questions as text of `tsquery`, as `search_names` takes them.

    Each word may be in any of its readings, or the same given name in another form, or its bare initial; a single
    letter is the initial of any word. If nothing has all words so, the last may be unfinished; then, of three words
    and more, one may be missing (a patronymic); then words may have slips.
    """
    found = [(word, forms) for word in words_of(text) if (forms := readings(word))][:MOST_ASKED]
    folded = " ".join(forms[0] for _, forms in found)
    full = [(word, forms) for word, forms in found if len(forms[0]) > 1]
    if not full:  # initials alone are asked for as they stand: half of all names have such letters
        return [folded, _every([_any(forms[:1]) for _, forms in found])] if found else [folded]
    initials = [_any(sorted({initial(form) for form in forms})) for _, forms in found if len(forms[0]) == 1]
    words = [(_forms(forms), set(forms)) for _, forms in full]
    questions = [_question(words, initials)]
    last, forms = found[-1]
    if len(forms[0]) > 1:
        begun = {f"{stem}:*" for stem in _unfinished(last)}
        words = [*words[:-1], (words[-1][0] | begun, words[-1][1] | begun)]
        questions.append(_question(words, initials))
    if len(words) > 2:  # noqa: PLR2004 -- of two words each is needed
        questions.append("\n".join(_question(words[:n] + words[n + 1 :], initials) for n in range(len(words))))
    long = sorted({forms[0] for _, forms in full if len(forms[0]) >= LONG}, key=lambda form: (-len(form), form))[:4]
    slips = "1234" if len(long) > 2 else "134"  # noqa: PLR2004 -- as above
    return [folded, *questions, *(f"~{kind}{' '.join(long)}" for kind in slips if long)]


def resembling(names: Iterable[str]) -> list[str]:
    """Return each name that differs from the others in more than spelling, as PostgreSQL's `similar_persons` takes it.

    That is the folded name and then, one a line, its words, each as all its forms; at most ten names.
    """
    found: dict[str, str] = {}
    for name in names:
        words = [forms for word in words_of(name) if (forms := readings(word))][:MOST_PAIRED]
        every = [
            " ".join([*forms, *sorted(_forms(forms) - {*forms})] if len(forms[0]) > 1 else forms) for forms in words
        ]
        if words:
            found.setdefault(folded := " ".join(forms[0] for forms in words), "\n".join([folded, *every]))
    return list(found.values())[:MOST_COMPARED]
