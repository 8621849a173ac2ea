"""Charts: an answer as a Vega-Lite specification, or drawn as SVG; time lies on x, bars stand otherwise."""

import sys
from typing import Any

import pygal
from pygal.style import Style

from app.core.filters import NOT_STATED
from app.statistics.dimensions import TIMES, TITLES

# pygal hooks itself into the import of everything, in a way that Python warns of, for map plug-ins that are not used.
sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != "PluginImportFixer"]

Answer = dict[str, Any]

VEGA_LITE = "https://vega.github.io/schema/vega-lite/v6.json"

MOST_BARS = 40
MOST_SERIES = 12
MOST_LABELS = 12

WORDS = {
    NOT_STATED: {"en": "not stated", "be": "не паведамляецца", "ru": "не указано"},
    "at_least": {
        "en": "at least, as known on",
        "be": "прынамсі, паводле звестак на",
        "ru": "не менее, по сведениям на",
    },
    "value": {"en": "value", "be": "значэнне", "ru": "значение"},
    "min": {"en": "min", "be": "мін.", "ru": "мин."},
    "max": {"en": "max", "be": "макс.", "ru": "макс."},
    "total": {"en": "total", "be": "усяго", "ru": "всего"},
    "others": {"en": "more", "be": "яшчэ", "ru": "ещё"},
    "nothing": {"en": "nothing counted", "be": "нічога не палічана", "ru": "ничего не посчитано"},
    "18_24": {"en": "18 to 24", "be": "18–24", "ru": "18–24"},
    "under_18": {"en": "under 18", "be": "да 18", "ru": "до 18"},
    "25_34": {"en": "25 to 34", "be": "25–34", "ru": "25–34"},
    "35_44": {"en": "35 to 44", "be": "35–44", "ru": "35–44"},
    "45_54": {"en": "45 to 54", "be": "45–54", "ru": "45–54"},
    "55_64": {"en": "55 to 64", "be": "55–64", "ru": "55–64"},
    "65_over": {"en": "65 and over", "be": "65 і больш", "ru": "65 и больше"},
}
"""What charts say besides the labels of the vocabularies."""

STYLE = Style(
    background="white",
    plot_background="white",
    foreground="#222",
    foreground_strong="#000",
    foreground_subtle="#666",
    font_family="Arial, Helvetica, 'Liberation Sans', 'DejaVu Sans', sans-serif",
    colors=(
        "#1f5c99",
        "#d1495b",
        "#3a7d44",
        "#edae49",
        "#6c4a99",
        "#00798c",
        "#8d5524",
        "#5f6b73",
        "#b07aa1",
        "#76b041",
        "#000000",
        "#9c755f",
    ),
    title_font_size=18,
    label_font_size=12,
    major_label_font_size=12,
    legend_font_size=13,
    value_font_size=12,
    transition="none",
)


def word(code: str, lang: str) -> str:
    """Return a word of the charts in a language; what has none stays as it is."""
    return WORDS.get(code, {}).get(lang, code)


def label_of(answer: Answer, dimension: str, value: str, lang: str) -> str:
    """Return what a value of a dimension is called."""
    return str(answer["labels"].get(dimension, {}).get(value) or word(value, lang))


def title_of(answer: Answer, names: dict[str, str], lang: str) -> str:
    """Return the title: what, of which period or day, by what."""
    unit = f", {answer['unit']}" if answer["measure"] == "fines" and answer["unit"] else ""
    when = answer.get("at") or " … ".join(d for d in (answer.get("from"), answer.get("to")) if d)
    by = ", ".join(TITLES[d][lang] for d in answer["by"])
    return f"{names.get(lang, answer['measure'])}{unit}" + (f", {when}" if when else "") + (f" ({by})" if by else "")


def vega_lite(answer: Answer, names: dict[str, str], lang: str) -> dict[str, Any]:
    """Return a Vega-Lite specification with its data in it."""
    by = answer["by"]
    values = [
        {**{d: label_of(answer, d, row[d], lang) for d in by}, **{n: row[n] for n in ("value", "min", "max", "list")}}
        for row in answer["rows"]
    ]
    if not by and answer["total"] is not None:
        values = [{"total": word("total", lang), **{n: answer["total"][n] for n in ("value", "min", "max")}}]
    axes = by or ["total"]
    time = next((d for d in axes if d in TIMES), None)
    first = time or axes[0]
    others = [d for d in axes if d != first]
    title = TITLES.get(first, {}).get(lang, word(first, lang))
    name = names.get(lang, answer["measure"])
    encoding: dict[str, Any] = {
        "x": {"field": first, "type": "ordinal", "title": title, "sort": None if time else "-y"},
        "y": {"field": "value", "type": "quantitative", "title": name},
        "tooltip": [
            *({"field": d, "type": "nominal", "title": TITLES.get(d, {}).get(lang, d)} for d in axes),
            *({"field": n, "type": "quantitative", "title": word(n, lang)} for n in ("value", "min", "max")),
        ],
    }
    if others:
        encoding["color"] = {"field": others[0], "type": "nominal", "title": TITLES[others[0]][lang]}
    if len(others) > 1:
        encoding["row"] = {"field": others[1], "type": "nominal", "title": TITLES[others[1]][lang]}
    return {
        "$schema": VEGA_LITE,
        "title": {"text": title_of(answer, names, lang), "subtitle": f"{word('at_least', lang)} {answer['known_at']}"},
        "width": 640,
        "height": 320,
        "data": {"values": values},
        "mark": {"type": "line", "point": True} if time else {"type": "bar"},
        "encoding": encoding,
    }


def _series(answer: Answer, lang: str) -> tuple[list[str], dict[str, dict[str, float]]]:
    """Return the places on x in order, and by series the value at each."""
    by = answer["by"]
    time = next((d for d in by if d in TIMES), None)
    first = time or (by[0] if by else None)
    others = [d for d in by if d != first]
    places: dict[str, float] = {}
    series: dict[str, dict[str, float]] = {}
    for row in answer["rows"]:
        x = label_of(answer, first, row[first], lang) if first else word("total", lang)
        name = ", ".join(label_of(answer, d, row[d], lang) for d in others) or word("value", lang)
        places[x] = places.get(x, 0) + row["value"]
        series.setdefault(name, {})[x] = row["value"]
    if first is None and answer["total"] is not None:
        x = word("total", lang)
        places, series = {x: 0}, {word("value", lang): {x: answer["total"]["value"]}}
    order = sorted(places) if time else sorted(places, key=lambda p: -places[p])
    return order, series


def _short(text: str, length: int = 42) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def svg(answer: Answer, names: dict[str, str], lang: str) -> bytes:
    """Draw the answer as an SVG of its own: no script and nothing from elsewhere, so that it can stand in an <img>."""
    time = any(d in TIMES for d in answer["by"])
    places, series = _series(answer, lang)
    more = len(places) - MOST_BARS if not time else 0
    shown = places if more <= 0 else places[:MOST_BARS]
    kept = dict(sorted(series.items(), key=lambda s: -max(s[1].values(), default=0))[:MOST_SERIES])
    more = max(more, 0) + len(series) - len(kept)
    note = f"{word('at_least', lang)} {answer['known_at']}" + (f"; {word('others', lang)}: {more}" if more > 0 else "")
    options: dict[str, Any] = {
        "js": [],
        "style": STYLE,
        "title": _short(title_of(answer, names, lang), 90),
        "x_title": note,
        "show_legend": len(kept) > 1,
        "legend_at_bottom": True,
        "legend_at_bottom_columns": 3,
        "truncate_legend": 30,
        "truncate_label": -1,
        "width": 900,
        "height": 480 + 20 * -(-len(kept) // 3),
        "no_data_text": word("nothing", lang),
        "disable_xml_declaration": False,
        "explicit_size": True,
        "value_formatter": lambda v: f"{v:,.0f}".replace(",", " ") if v is not None and v == int(v) else f"{v}",
        "include_x_axis": True,
        "margin": 20,
        "margin_bottom": 60 if len(kept) > 1 else 20,  # pygal reserves less than a legend takes under a note
    }
    if time:
        step = max(1, -(-len(shown) // MOST_LABELS))
        options |= {"x_label_rotation": 35 if len(shown) > MOST_LABELS // 2 else 0}
        options |= {"x_labels_major": shown[::step], "show_minor_x_labels": False} if step > 1 else {}
        chart = pygal.Line(**options, show_dots=len(shown) <= 60, stroke_style={"width": 2})  # noqa: PLR2004
    else:
        options |= {
            "height": max(300, 130 + len(shown) * (14 * max(1, len(kept)) + 14)),
            "print_values": len(kept) == 1,
        }
        chart = pygal.HorizontalBar(**options)
        shown = shown[::-1]  # drawn from the bottom up
    chart.x_labels = [_short(p) for p in shown]
    for name, values in sorted(kept.items()):
        chart.add(_short(name, 30), [values.get(p, 0 if time else None) for p in shown])
    chart.uuid = "chronika"  # pygal's own would be another each time, and the same answer another picture
    chart.add_xml_filter(_still)
    drawn: bytes = chart.render()
    return drawn


def _still(root: Any) -> Any:
    """Take out scripts and comments: an image runs nothing and names nobody."""
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] == "script":
                parent.remove(child)
    return root
