"""Two steers as a plane, in HTML: the pad with corners, ranges and map, and its numbers."""

from __future__ import annotations

import json

from markupsafe import Markup

from lmsteer_core.analysis.dimensions import overlap
from lmsteer_core.analysis.plane import Plane
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.ui.figures.plane import EXTENT, Heat, cells, colour_bar
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text, percent, signed
from lmsteer_core.ui.page.wiring import Updates
from lmsteer_core.ui.tabs.compose.setting import COARSE_GRID, PROMPT_CHARACTERS, Setting, StyleMap

_UNRELATED = 0.15
"""|cosine| below which two steers are said to be unrelated."""

_DRAG = (
    "Drag the point, or use the two sliders: moves add in the logits, so the two styles combine "
    "without training anything."
)
_PAD = Markup(
    '<div class="compose-pad"><div class="corners">{top_left}{top_right}</div>'
    '<div class="frame"><div class="scale up" aria-hidden="true">{scale}</div>'
    '<div class="compose-plane" data-facts="{facts}">{cells}{locked}<div class="zero across"></div>'
    '<div class="zero up"></div>{useful}<div class="handle" tabindex="0" role="slider"></div></div>'
    '<div class="scale across" aria-hidden="true">{scale}</div></div>'
    '<div class="corners">{bottom_left}{bottom_right}</div><p class="key"><span>'
    '<i class="useful-box"></i> useful range of both</span>{locked_key}</p>'
    '<p class="compose-readout"></p></div>'
)


def map_panels(setting: Setting, point: tuple[float, float], heat: Heat | None) -> Updates:
    """Return the pad, the colour bar and the table."""
    pad = pad_html(setting, point, heat)
    if heat is None:
        return {"pad": pad, "key": "", "table": ""}
    ends = ("0", percent(heat.bound))
    if heat.is_signed:
        ends = signed(-heat.bound), signed(heat.bound)
    return {
        "pad": pad,
        "key": colour_bar(heat, *ends),
        "table": numbers_table(setting, heat),
    }


def pad_html(setting: Setting, point: tuple[float, float], heat: Heat | None = None) -> Markup:
    """Return the plane with its four named corners, the point, and a map under it."""
    a, b = setting.across.card, setting.up.card
    lows = setting.lows()
    facts = {
        "names": [a.name, b.name],
        "extent": EXTENT,
        "low": lows,
        "point": point,
        "title": heat.title if heat else "",
        "epsilons": heat.epsilons if heat else [],
        "told": heat.labels if heat else [],
        "texts": heat.texts if heat else [],
    }
    locked = Markup("").join(
        Markup('<div class="locked {}" title="locked"></div>').format(axis)
        for axis, low in zip(("across", "up"), lows, strict=True)
        if not low
    )
    ticks = range(-int(EXTENT), int(EXTENT) + 1)
    return _PAD.format(
        top_left=_corner(a, b, 0, 1),
        top_right=_corner(a, b, 1, 1),
        bottom_left=_corner(a, b, 0, 0),
        bottom_right=_corner(a, b, 1, 0),
        scale=Markup("").join(Markup("<span>{}</span>").format(signed(t, "+d")) for t in ticks),
        facts=json.dumps(facts),
        cells=cells(heat) if heat else "",
        locked=locked,
        useful=_useful(a, b),
        locked_key=Markup("<span><i class=strained></i> locked</span>") if locked else "",
    )


def _corner(a: SteerCard, b: SteerCard, is_right: int, is_top: int) -> Markup:
    """Return one of the four cases by the poles that meet there."""
    return Markup("<span><b>({}, {})</b> {} and {}</span>").format(
        "−+"[is_right],
        "−+"[is_top],
        (a.negative, a.positive)[is_right],
        (b.negative, b.positive)[is_top],
    )


def _useful(a: SteerCard, b: SteerCard) -> Markup:
    """Return the rectangle of both useful ranges."""
    (left, right), (bottom, top) = a.epsilon_range, b.epsilon_range
    sides = {
        "left": left + EXTENT,
        "right": EXTENT - right,
        "bottom": bottom + EXTENT,
        "top": EXTENT - top,
    }
    style = ";".join(f"{side}:{max(0.0, 50 * room / EXTENT):.2f}%" for side, room in sides.items())
    return Markup('<div class="useful-box" style="{}"></div>').format(style)


def word_heat(setting: Setting, word_plane: Plane) -> Heat:
    """Return a word's probability as a map, None where a pole is locked."""
    epsilons = word_plane.epsilons
    values = [
        [None if setting.is_locked(x, y) else p for x, p in zip(epsilons, row, strict=True)]
        for y, row in zip(epsilons, word_plane.probability, strict=True)
    ]
    labels = [["locked" if p is None else percent(p) for p in row] for row in values]
    title = f"P(“{word_plane.text.removeprefix(' ')}” comes next)"
    return Heat(title, epsilons, values, labels)


def style_heat(style_map: StyleMap, is_up: bool) -> Heat:
    """Return the texts' scores by one of the two steers as a map."""
    steer = style_map.setting.up if is_up else style_map.setting.across
    values = [[None if each is None else each[is_up] for each in row] for row in style_map.scores]
    labels = [["locked" if v is None else signed(v) for v in row] for row in values]
    title = (
        f"{steer.name}: nats per token towards {steer.card.positive} (+) or "
        f"{steer.card.negative} (−)"
    )
    return Heat(title, COARSE_GRID, values, labels, is_signed=True, texts=style_map.texts)


def first_token_note(word_plane: Plane, word: str) -> str:
    """Return a sentence for a word of several tokens, else nothing."""
    if word_plane.is_whole:
        return ""
    return (
        f"“{word.strip()}” has several tokens; the map shows its first, "
        f"“{word_plane.text.removeprefix(' ')}”."
    )


def map_note(prompt: str, note: str) -> str:
    """Return the line below the map, which first says that a long prompt is not read whole."""
    if len(prompt) <= PROMPT_CHARACTERS:
        return widgets.note(note)
    return widgets.note(
        f"Compose reads the prompt's last {PROMPT_CHARACTERS} characters. {note}", "warning"
    )


def numbers_table(setting: Setting, heat: Heat) -> Markup:
    """Return a map's numbers: as a grid by halves of ε, or one line per text."""
    head, lines = (_text_lines if heat.texts else _number_grid)(setting, heat)
    body = Markup("").join(Markup("<tr>{}</tr>").format(line) for line in lines)
    return Markup(
        '<div class="scroll"><table class="compose-numbers"><caption>{}</caption>'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(heat.title, head, body)


def _text_lines(setting: Setting, heat: Heat) -> tuple[Markup, list[Markup]]:
    head = Markup('<th>{}</th><th>{}</th><th>nats per token</th><th class="text">text</th>').format(
        setting.across.name, setting.up.name
    )
    line = Markup('<td>{}</td><td>{}</td><td>{}</td><td class="text" dir="auto">{}</td>')
    grid = list(enumerate(heat.epsilons))
    return head, [
        line.format(epsilon_text(x), epsilon_text(y), heat.labels[i][j], heat.texts[i][j])
        for i, y in reversed(grid)
        for j, x in grid
    ]


def _number_grid(setting: Setting, heat: Heat) -> tuple[Markup, list[Markup]]:
    halves = list(enumerate(heat.epsilons))[::2]
    head = Markup("<th>{} ↓ {} →</th>").format(setting.up.name, setting.across.name)
    head += Markup("").join(
        Markup('<th scope="col">{}</th>').format(epsilon_text(x)) for _, x in halves
    )
    return head, [
        Markup('<th scope="row">{}</th>').format(epsilon_text(y))
        + Markup("").join(Markup("<td>{}</td>").format(heat.labels[i][j]) for j, _ in halves)
        for i, y in reversed(halves)
    ]


def overlap_text(setting: Setting) -> Markup:
    """Return how alike the two steers are: one number and what it means."""
    cosine = float(overlap([setting.across, setting.up])[0, 1])
    if abs(cosine) < _UNRELATED:
        meaning = "near 0 each keeps its own effect, so the two axes can be read apart."
    elif cosine > 0:
        meaning = (
            "they share part of their effect: one axis also moves the other, and (+, +) overshoots."
        )
    else:
        meaning = "they partly undo each other: one axis moves the other back."
    return Markup("<p>Overlap of {} and {} (cosine of W₁ and W₂): <b>{}</b>; {}</p>").format(
        setting.across.name, setting.up.name, signed(cosine), meaning
    )


def slider_label(card: SteerCard) -> str:
    """Return the label of a steer's slider."""
    return f"ε of {card.name}"


def preset_note(note: str = "") -> Markup:
    """Return what a preset teaches, and what can be done."""
    return Markup("<p>{}</p>").format(f"{note} {_DRAG}".strip())
