"""The fold of names: what it makes equal, what it keeps apart, and what must hold of any text."""

import csv
import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.fold import LONGEST, MOST_READINGS, MOST_WORDS, canonical, fold, readings, words_of
from app.core.name_questions import asked

LETTERS = "абвгґдеёжзійклмнопрстуўфхцчшщыьэюяиї'aąbcćčdefghijklłmnńoóprsśštuŭwxyzźžż -.qv4"
NAMES = st.one_of(st.text(alphabet=LETTERS, max_size=40), st.text(max_size=30))


def alike(one: str, other: str) -> bool:
    """Tell whether every word of one has a reading in common with the word of the other."""
    left, right = ([set(readings(w)) for w in words_of(name)] for name in (one, other))
    return len(left) == len(right) and all(a & b for a, b in zip(left, right, strict=True))


@given(NAMES)
def test_folding_twice_changes_nothing(name: str) -> None:
    once = canonical(fold(name))
    assert canonical(fold(once)) == once


@given(NAMES)
def test_composed_and_decomposed_letters_fold_alike(name: str) -> None:
    assert fold(unicodedata.normalize("NFD", name)) == fold(unicodedata.normalize("NFC", name))


@given(st.text(alphabet=LETTERS, max_size=40))
def test_capitals_fold_like_small_letters(name: str) -> None:
    assert fold(name.upper()) == fold(name)


@given(st.text(max_size=300))
def test_a_fold_is_bounded_and_plain_ascii(name: str) -> None:
    folded = fold(name)
    assert set(folded) <= set("abcdefghijklmnopqrstuvwxyz0123456789 /")
    words = folded.split()
    assert len(words) <= MOST_WORDS
    for word in words:
        found = word.split("/")
        assert 1 <= len(found) <= MOST_READINGS
        assert all(0 < len(form) <= LONGEST for form in found)


@given(st.text(max_size=300))
def test_a_question_holds_only_what_tsquery_takes(name: str) -> None:
    for stage in asked(name):
        assert set(stage.removeprefix("~")) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ()|&:*\n"
        )


SAME = [
    ("Уладзіслаў Шавель", "Владислав Шавель", "Uladzislau Shavel", "Vladislav Shavel", "Uładzisłaŭ Šaviel"),
    ("Юрый Зянковіч", "Юрий Зенкович", "Yury Ziankovich", "Yuri Zenkovich", "Juryj Ziankovič", "Jury Ziankowicz"),
    ("Таццяна Шчэрба", "Татьяна Щерба", "Tatsiana Shcherba", "Tatyana Scherba", "Taćciana Ščerba"),
    ("Віталь Цыганкоў", "Виталий Цыганков", "Vital Tsyhankou", "Vitaly Tsygankov", "Vital Cyhankoŭ"),
    ("Анатоль Хіневіч", "Анатолий Хиневич", "Anatol Khinevich", "Anatoly Khinevich", "Anatol Chiniewicz"),
    ("Дзмітрый Дзядок", "Дмитрий Дедок", "Dzmitry Dziadok", "Dmitry Dedok", "Dzmitryj Dziadok"),
    ("Максім Знак", "Максим Знак", "Maxim Znak", "Maksim Znak"),
    ("Джамшэд", "Джамшед", "Dzhamshed", "Jamshed"),
    ("Дар'я Чульцова", "Дарья Чульцова", "Darya Chultsova", "Darja Čulcova", "Daria Czulcowa"),
    ("Пётр Воўчак", "Пётр Волчак", "Piotr Vouchak", "Petr Volchak", "Piotr Voŭčak"),
    ("Глеб Таўкач", "Глеб Толкач", "Hleb Taukach", "Gleb Tolkach", "Hleb Taŭkač"),
    ("Вера Коўш", "Вера Ковш", "Vera Koush", "Vera Kovsh"),
    ("Ніна Лявонава", "Нина Леонова", "Nina Liavonava", "Nina Leonova", "Nina Lavonava"),
    ("Шчасны", "Счастный", "Ščasny", "Schastny"),
    ("Чарнышова", "Tchernycheva", "Tschernyschowa"),
    ("Сярэдзіцкі", "Середицкий", "Seredizki"),
    ("Дамброўскі", "Домбровский", "Dąbrowski", "Dambrouski"),
    ("Врублеўскі", "Wróblewski", "Vrubleuski"),
    ("Гаўрыловіч", "Gawryłowicz", "Haurylovich"),
    ("Пшыбыльскі", "Przybylski"),
    ("Ліўшыц", "Liushyts", "Лившиц"),
    ("Ганцавічы", "Hantsavichy", "Ганцевичи", "Gantsevichi", "Hancavičy"),
]  # fmt: skip


@pytest.mark.parametrize("spellings", SAME)
def test_spellings_of_one_name_meet(spellings: tuple[str, ...]) -> None:
    for other in spellings[1:]:
        assert alike(spellings[0], other), (other, fold(spellings[0]), fold(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Храсько", "Краско"),
        ("Марына", "Марыя"),
        ("Ціханоўскі", "Ціханоўская"),
        ("Жук", "Чук"),
        ("Лосік", "Носік"),
        ("Бабіч", "Бабік"),
        ("Шут", "Чут"),
        ("Кравченко", "Кральченко"),
        ("Жукоўскі", "Жукольский"),
        ("Краўчанка", "Кральченко"),
        ("Ковган", "Колган"),
        ("Крюков", "Кривков"),
        ("Леванов", "Леонов"),
    ],
)
def test_different_names_stay_apart(one: str, other: str) -> None:
    assert not alike(one, other)


@pytest.mark.parametrize(
    ("mixed", "plain"),
    [
        ("Лaпiцкi", "Лапіцкі"),
        ("Tихановский", "Тихановский"),
        ("Тikhanovskaya", "Tikhanovskaya"),
        ("Hаrоdniа", "Harodnia"),
    ],
)
def test_letters_of_two_scripts_in_one_word_are_read_as_one(mixed: str, plain: str) -> None:
    assert mixed != plain
    assert fold(mixed) == fold(plain)


DATA = os.environ.get("CHRONIKA_TEST_DATA")


@pytest.mark.skipif(DATA is None, reason="CHRONIKA_TEST_DATA does not name the folder with translit-iuliia/")
def test_every_romanisation_of_russian_is_read_back() -> None:
    """Thirty schemes with the samples of their authors; only the French one leaves words that cannot be told."""
    missed, tried = [], 0
    for path in sorted((Path(str(DATA)) / "translit-iuliia").glob("*.json")):
        scheme = json.loads(path.read_text(encoding="utf-8"))
        for cyrillic, latin in scheme["samples"][1:]:
            pairs = list(zip(words_of(cyrillic), words_of(latin), strict=False))
            tried += len(pairs)
            missed += [(scheme["name"], *pair) for pair in pairs if not alike(*pair)]
    assert tried > 200
    assert {name for name, *_ in missed} <= {"mvd_310_fr"}


@pytest.mark.skipif(DATA is None, reason="CHRONIKA_TEST_DATA does not name the folder with names-spellings/")
def test_surnames_of_the_list_meet() -> None:
    path = Path(str(DATA)) / "names-spellings" / "spellings.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    first: dict[str, str] = {}
    for row in rows:
        surname = row["spelling"].split()[-1]
        assert alike(first.setdefault(row["person"], surname), surname), row
