"""Made-up people, five spellings of a name each, as many as wanted: common and rare names as in life."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any
from uuid import UUID

import asyncpg

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
"""How many surnames there are; the n-th has a share as 1/n^0.6."""


def _forms(table: str) -> list[tuple[str, ...]]:
    return [tuple(entry.split()) for line in table.split("\n") for entry in line.split("|") if entry]


@dataclass(frozen=True)
class Person:
    """A made-up person."""

    id: UUID
    names: tuple[str, str, str, str, str]


def uuid_of(number: int) -> UUID:
    """Return the random-looking id of the n-th person, the same in every run."""
    return UUID(int=random.Random(number).getrandbits(128), version=4)  # noqa: S311 -- no secret


def made_up(count: int) -> Iterator[Person]:
    """Yield persons, the same in every run."""
    chance = random.Random(1)  # noqa: S311
    syllables, endings, given = _forms(SYLLABLES), _forms(ENDINGS), _forms(GIVEN)
    surnames = []
    for _ in range(SURNAMES):
        parts = [*chance.choices(syllables, k=chance.choice((2, 2, 3))), chance.choice(endings)]
        surnames.append(tuple("".join(p[n] for p in parts).capitalize() for n in range(4)))
    shares = list(accumulate((n + 1) ** -0.6 for n in range(SURNAMES)))
    first_shares = list(accumulate(1 / (n + 4) for n in range(len(given))))
    for number in range(count):
        be, ru, latin, lacinka = chance.choices(surnames, cum_weights=shares)[0]
        first = chance.choices(given, cum_weights=first_shares)[0]
        patronymic = chance.choice(PATRONYMICS)
        yield Person(
            uuid_of(number),
            (
                f"{first[0]} {be}",
                f"{ru} {first[1]} {patronymic}",
                f"{first[2]} {latin}",
                f"{first[3]} {lacinka}",
                f"{first[2][0]}. {latin}",
            ),
        )


_word = cache(fold)


def _folded(name: str) -> str:
    return " ".join(_word(w) for w in name.split())


async def fill(owner: Any, count: int) -> list[Person]:
    """Bring persons into the tables by COPY and make their keys as the triggers do; return some of them."""
    some, persons, names = [], [], []
    step = max(count // 200, 1)
    async with owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")
        for number, person in enumerate(made_up(count), 1):
            if number % step == 0:
                some.append(person)
            persons.append((person.id, "benchmark", str(number), 0, 0, "public_record", []))
            names += [(person.id, text, _folded(text), "alias", n, 0, 0) for n, text in enumerate(person.names)]
            if number % 20_000 == 0 or number == count:
                await _copy(owner, persons, names)
                persons, names = [], []
        await owner.execute("DROP INDEX person_keys_words")
        await owner.execute("SET LOCAL maintenance_work_mem = '512MB'")
        await owner.execute(
            "INSERT INTO person_keys SELECT effective_level, person_id, first_readings(folded), "
            "name_tokens(first_readings(folded), string_agg(folded, ' ')) "
            "FROM person_names WHERE folded <> '' GROUP BY 1, 2, 3 ORDER BY md5(person_id::text)"  # as if one by one
        )
        await owner.execute("CREATE INDEX person_keys_words ON person_keys USING gin (words) WITH (fastupdate = off)")
    await owner.execute("VACUUM ANALYZE persons, person_names, person_keys")
    return some


async def _copy(owner: asyncpg.Connection, persons: list[Any], names: list[Any]) -> None:
    columns = ["id", "origin", "origin_id", "level", "effective_level", "publication_ground", "groups"]
    await owner.copy_records_to_table("persons", records=persons, columns=columns)
    columns = ["person_id", "text", "folded", "kind", "position", "level", "effective_level"]
    await owner.copy_records_to_table("person_names", records=names, columns=columns)


def _mistyped(name: str, chance: random.Random) -> str:
    """Swap or change one letter inside the longest word."""
    words = name.split()
    at = max(range(len(words)), key=lambda n: len(words[n]))
    word = words[at]
    n = chance.randrange(2, len(word) - 2)
    swapped, changed = word[:n] + word[n + 1] + word[n] + word[n + 2 :], word[:n] + "м" + word[n + 1 :]
    words[at] = chance.choice((swapped, changed))
    return " ".join(words)


def questions(some: list[Person]) -> dict[str, list[str]]:
    """Return what might be typed to find these people, by kind."""
    chance = random.Random(2)  # noqa: S311
    some = some[:60]
    return {
        "full name": [p.names[n % 4] for n, p in enumerate(some)],
        "surname": [p.names[n % 2 * 2].split()[1] for n, p in enumerate(some)],
        "half a surname": [p.names[0].split()[1][:5] for p in some],
        "given name alone": [p.names[0].split()[0] for p in some[:20]],
        "given name and patronymic": [" ".join(p.names[1].split()[1:]) for p in some[:20]],
        "two letters": [p.names[0].split()[1][:2] for p in some[:20]],
        "given name, two letters": [f"{(w := p.names[0].split())[0]} {w[1][:2]}" for p in some[:20]],
        "initial and surname": [p.names[4] for p in some[:20]],
        "typing error": [_mistyped(p.names[0], chance) for p in some],
        "typing error, surname alone": [_mistyped(p.names[0].split()[1] + "а", chance) for p in some],
        "nobody": ["Zzyzx Qwertyuiop", "Пржевальский Николай Михайлович", "ффффф", "Ломоноска", "a b c d"],
        "odd": ["%", "\\", "'\"", "😀", "علي", "a", "Я", "ch" * 150, "Ў" * 300, "Вера " * 60],
    }
