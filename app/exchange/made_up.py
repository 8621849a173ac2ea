"""Made-up names in five spellings each, common and rare as in life; a likeness with anybody's is chance."""

import random
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

from app.core.fold import fold

# Belarusian, Russian, official Latin, łacinka.
SYLLABLES = """
ка ка ka ka|ра ро ra ra|ла ла la ła|ба бо ba ba|ці ти tsi ci|дзе де dze dzie|мі ми mi mi|са со sa sa|хра хра khra chra
гу гу hu hu|жы жи zhy žy|шэ ше she še|ва во va va|пе пе pe pie|лю лю liu lu|ня не nia nia|зы зы zy zy|гры гри hry hry
чэ че che če|ту ту tu tu|да до da da|кі ки ki ki|ма мо ma ma|сце сте stse sce|бе бе be bie|ры ри ry ry|га го ha ha
цвя цве tsvia ćvia|жу жу zhu žu|ля ле lia la|бу бу bu bu|вы вы vy vy|но но no no|хо хо kho cho|пры при pry pry
"""
ENDINGS = """
коў ков kou koŭ|віч вич vich vič|нскі нский nski nski|нка нко nka nka|чук чук chuk čuk|лёў лёв liou loŭ
цкі цкий tski cki|рын рин ryn ryn|шэвіч шевич shevich ševič|бовіч бович bovich bovič
жанін жанин zhanin žanin|ньскі ньский nski ński
"""
GIVEN = """
Сяргей Сергей Siarhei Siarhiej|Аляксандр Александр Aliaksandr Alaksandr|Мікалай Николай Mikalai Mikałaj
Уладзімір Владимир Uladzimir Uładzimir|Андрэй Андрей Andrei Andrej|Дзмітрый Дмитрий Dzmitry Dźmitryj
Віктар Виктор Viktar Viktar|Ігар Игорь Ihar Ihar|Аляксей Алексей Aliaksei Alaksiej|Юрый Юрий Yury Juryj
Наталля Наталья Natallia Natalla|Таццяна Татьяна Tatsiana Taćciana|Вольга Ольга Volha Volha|Алена Елена Alena Alena
Марыя Мария Maryia Maryja|Святлана Светлана Sviatlana Śviatłana|Кацярына Екатерина Katsiaryna Kaciaryna
Павел Павел Pavel Pavieł|Максім Максим Maksim Maksim|Яўген Евгений Yauhen Jaŭhien
Анастасія Анастасия Anastasiya Anastasija
Генадзь Геннадий Henadz Hienadź|Рыгор Григорий Ryhor Ryhor|Зміцер Дмитрий Zmitser Źmicier|Леанід Леонид Leanid Leanid
"""
PATRONYMICS = ("Иванович", "Петрович", "Николаевич", "Сергеевич", "Алексеевич", "Андреевич", "Викторович", "Юрьевич")
SURNAMES = 60_000
"""How many surnames there are at most, one for ten people; the n-th has a share as 1/n^0.6."""


class Spelling(NamedTuple):
    """One way to write a name."""

    text: str
    language: str
    script: str
    kind: str


def _forms(table: str) -> list[tuple[str, ...]]:
    return [tuple(entry.split()) for line in table.split("\n") for entry in line.split("|") if entry]


def names(count: int, seed: int) -> Iterator[tuple[Spelling, ...]]:
    """Yield the names of so many people, the same for the same seed; the first spelling is the primary one."""
    chance = random.Random(seed)  # noqa: S311 -- no secret
    syllables, endings, given = _forms(SYLLABLES), _forms(ENDINGS), _forms(GIVEN)
    surnames: list[tuple[str, ...]] = []
    kinds = min(SURNAMES, max(count // 10, 1))
    for _ in range(kinds):
        parts = [*chance.choices(syllables, k=chance.choice((2, 2, 3))), chance.choice(endings)]
        surnames.append(tuple("".join(p[n] for p in parts).capitalize() for n in range(4)))
    shares = list(accumulate((n + 1) ** -0.6 for n in range(kinds)))
    first_shares = list(accumulate(1 / (n + 4) for n in range(len(given))))
    for _ in range(count):
        be, ru, latin, lacinka = chance.choices(surnames, cum_weights=shares)[0]
        first = chance.choices(given, cum_weights=first_shares)[0]
        patronymic = chance.choice(PATRONYMICS)
        yield (
            Spelling(f"{first[0]} {be}", "be", "Cyrl", "primary"),
            Spelling(f"{ru} {first[1]} {patronymic}", "ru", "Cyrl", "alias"),
            Spelling(f"{first[2]} {latin}", "be", "Latn", "transliteration"),
            Spelling(f"{first[3]} {lacinka}", "be", "Latn", "alias"),
            Spelling(f"{first[2][0]}. {latin}", "be", "Latn", "abbreviation"),
        )


_word = cache(fold)


def folded(name: str) -> str:
    """Fold a made-up name word by word, which is the same and far faster, since few words make all names."""
    return " ".join(_word(w) for w in name.split())


def rows(spellings: tuple[Spelling, ...]) -> list[dict[str, Any]]:
    """Return the rows of one person's names."""
    return [{**s._asdict(), "folded": folded(s.text)} for s in spellings]
