"""Given names that are one name in Belarusian, Russian and English, or its everyday form, though they sound apart.

Forms that the fold makes equal by itself (Ігар, Игорь, Ihar, Igor) need no line here.
"""

from functools import cache

from app.core.fold import readings, words_of

GROUPS = """
Аляксандр Александр Alexander Алесь Олесь Аляксандра Александра Саша Саня Шура
Алеся Олеся Аляксандра Александра
Аляксей Алексей Alexey Alexius Алёша Лёша Аляксій Олексій
Амяльян Емельян Омелян Emelian
Анастасія Анастасия Anastasia Настасся Настассия Наста Насця Настя
Ангела Анжэла Анжела Angela
Ангеліна Ангелина Angelina Анжаліна
Анжаліка Анжелика Ангеліка Angelica
Анатоль Анатолий Толя Anatole
Андрэй Андрей Andrew Андрусь Андрушка Андрій
Антон Антось Антоній Антоний Anthony Тоня
Антаніна Антонина Тоня
Апанас Афанасий Панас Athanasius Afanasij
Арсень Арсений Арсеній Arseny
Артур Arthur Артурас
Арцём Артём Артемий Арцемій Тёма
Багдан Богдан Bohdan
Барыс Борис Boris Боря
Бартламей Баўтрамей Варфоломей Bartholomew
Бенядзікт Бенедикт Benedict
Вадзім Вадим Vadim Вадзік Вадик
Валерыя Валерия Лера Valeria
Валянціна Валентина Валя
Васіль Василий Базыль Базылі Basil Вася Васілій
Вацлаў Вацлав Vaclav Wacław
Вера Vera Вераніка Вероника Veronica
Вікенцій Викентий Винцент Вінцэнт Вінцук Vincent
Віктар Виктор Victor Вітя
Вікторыя Виктория Victoria Вика
Вінцук Вінцэсь Викентий
Вольга Ольга Olga Оля Воля
Восіп Осип Іосіф Иосиф Язэп Юзэф Юзеф Joseph Josef
Вячаслаў Вячеслав Слава
Галіна Галина Galina Галя Гална
Габрыэль Гаўрыіл Гаўрыла Гавриил Гаврила Gabriel
Ганна Анна Anna Anne Аня Hannah Ганначка
Гануфрый Ануфрый Онуфрий Анупрэй Onuphrius
Гапон Агафон Гапан
Генадзь Геннадий Гена Gennady
Георгій Георгий George Юрый Юрий Юры Юрась Ягор Егор Egor Жора Гоша
Герман Herman German
Глеб Hleb Gleb Хлеб
Грыпіна Агрыпіна Агриппина Agrippina
Грыгорый Рыгор Григорий Gregory Gregor Гриша Рыгорка Hryhoriy
Даніла Данила Даниил Данііл Daniel Danila Даня Данік
Дзмітрый Дмитрий Dmitry Дзіма Дима Зміцер Змітро Дзьмітры Demetrius Dmytro
Дзяніс Денис Denis Dennis
Дар'я Дарья Daria Даша Дарʼя
Дамінік Доминик Dominic
Ерамей Еремей Ярэма Jeremiah
Еўдакія Евдокия Аўдоцця Авдотья
Еўфрасіння Ефросинья Евфросиния Аўрасіння Прося
Жанна Jeanne Яна Joanna
Зінаіда Зинаида Зіна Зина
Зоя Zoe
Ілья Ілля Илья Elijah Elias Ілюша
Ірына Ирина Irene Іра Ира Арына Арина
Ігнат Игнатий Ігнацій Ignatius
Ігнацы Игнатий
Іван Иван Ivan Ян Янка Іванка Ваня John Jan Янук
Ізабела Изабелла Isabella
Казімір Казимир Kazimierz Casimir Казік
Кандрат Кондратий Кондрат
Канстанцін Константин Кастусь Костя Косця Constantine
Карына Карина Karina
Карл Карл Charles Karol Кароль
Кацярына Екатерина Катерина Catherine Katherine Катя Каця Кася Кацечка
Кірыл Кирилл Cyril
Клаўдзія Клавдия Claudia
Крысціна Кристина Хрысціна Христина Christina Кристя
Крыштоф Криштоф Krzysztof Кшиштоф Христофор Christopher
Ксенія Ксения Аксіння Аксинья Xenia Ксюша
Лаўрэн Лаврентий Lawrence Лаўрэнцій
Леанід Леонид Leonid Лёня
Леў Лев Leo Lev Леон Лявон Leon
Лізавета Елизавета Елізавета Альжбета Elizabeth Лиза Ліза
Лукер'я Лукерья Гликерия Глікерыя
Лука Лукаш Lukas Luke Лукаша
Любоў Любовь Люба Lyubov
Людміла Людмила Ludmila Люда Міла
Лявонцій Леонтий
Магдалена Магдалина Magdalena
Макар Макарий Макарый
Максім Максим Maxim Maximus Макс
Маргарыта Маргарита Margarita Margaret Рита Рыта
Марыя Мария Maria Mary Марья Маруся Маша Марыся Марийка Марыйка
Марта Marta Марфа Marfa Martha
Марк Марка Mark Marcus
Марцін Мартин Martin Мартын
Мацвей Матвей Matthew Мацей Матей Матвій Матэвуш Mateusz Maciej
Міраслаў Мирослав Miroslav
Мікалай Николай Мікола Микола Nicholas Nikola Коля Міколка
Мікадзім Мікодым Никодим Nicodemus
Мікіта Никита Мікітка Nikita
Міхаіл Михаил Міхась Міхал Michael Michał Миша Міша Mykhailo
Мсціслаў Мстислав Mstislav
Надзея Надежда Надзежда Надя Надзя Nadia Nadejda
Нічыпар Никифор Нікіфар
Наталля Наталья Наталия Наташа Natalia Natalie Наталка
Ніна Нина Nina Янина Яніна
Оксана Аксана Oksana Ксения
Павел Павал Паўло Паўлюк Павлюк Paul Паша Pavlo
Палікарп Поликарп
Палагея Пелагея Пелагия
Пантэляймон Пантелеймон Панцялей Пантелей
Параскева Прасковья Параска
Піліп Филипп Пилип Philip Felipe
Пётр Пятро Пятрусь Петро Peter Пеця Петя
Пракоп Прокопий Пракапій
Радаслаў Радослав Radoslav
Разалія Розалия Rosalia
Радзівон Радион Rodion
Раіса Раиса Рая
Раман Роман Roman Рома
Руслан Руслан
Святлана Светлана Света Святланка Svetlana
Сцяпан Степан Стефан Стэфан Stephen Stefan Стёпа
Сафія Софія София Софья Соня Зося Sofia Sophie Sophia Zofia
Сямён Семён Симеон Сымон Simon Simeon Сяма
Серафім Серафим Seraphim
Сідар Исидор Сидор Isidore
Сяргей Сергей Сергій Sergey Serge Sergius Сярожа Серёжа Сяржук Сержук Siarzhuk
Салвестр Сільвестр Сильвестр Sylvester
Тадэвуш Тадеуш Tadeusz Thaddeus Фаддей
Тамаш Фома Томаш Хама Thomas Tomasz Tomas
Таццяна Татьяна Таня Tatiana Таня
Тарас Taras
Фёдар Фёдор Хведар Тодар Тэадор Теодор Theodore Федя Fyodor
Тэкля Фёкла Хвёкла Thecla Текля
Феня Агафья Агата Agatha Ганулька
Франц Франциск Францішак Франтишек Francis Franciszek
Цімафей Тимофей Timothy Тимоха Цімох Цімошка Timofey
Ціхан Тихон Ціхон
Цярэнцій Терентий Цярэнь
Уладзімір Владимир Володимир Володя Вова Валодзя Вальдэмар Vladimir Volodymyr Waldemar
Уладзіслаў Владислав Влад Улад Uladzik Władysław Wladislaw
Усевалад Всеволод Сева
Ульяна Юльяна Juliana
Эдуард Edward Эдзік Эдик
Эльвіра Эльвира Elvira
Эма Эмма Emma
Юлія Юлия Julia Юля Ульяна
Юльян Юлиан Julian Ульян
Юстына Юстина Justina
Якім Аким Иоаким Joachim
Якаў Яков Якуб Jacob Jakub James Якаб
Яўген Евгений Жэня Женя Eugene Yevhen Евген
Яўгенія Евгения Жэня Женя Eugenia
Яўсей Евсей
Яраслаў Ярослав Jaroslav Jarosław
Ярмола Ермолай Ярмалай
Яўхім Ефим Юхим Яфім Yefim
Ядвіга Ядвига Jadwiga Hedwig
Язэп Иосиф Осип Joseph
Алена Елена Helena Helen Лена Алёна Галена Ellen
Евеліна Эвелина Evelina Эвелін
Ева Эва Eva Eve
"""
"""One name a line."""


@cache
def _groups() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in GROUPS.split("\n"):
        together = {form for word in words_of(line) for form in readings(word)[:1]}
        for form in together:
            found.setdefault(form, set()).update(together)
    return {form: frozenset(others - {form}) for form, others in found.items()}


def other_forms(form: str) -> frozenset[str]:
    """Return the folded forms that may be the same given name as this folded word; usually none."""
    return _groups().get(form, frozenset())
