"""Two steers as a plane, in HTML: the pad with corners, ranges and map, and its numbers."""

from __future__ import annotations

import json
from html import escape

from lmsteer_core.analysis.dimensions import overlap
from lmsteer_core.analysis.plane import Plane
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.ui.figures.plane import EXTENT, Heat, cells
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text, percent, signed
from lmsteer_core.ui.tabs.compose.setting import COARSE_GRID, PROMPT_CHARACTERS, Setting, StyleMap

_UNRELATED = 0.15
"""|cosine| below which two steers are told to be unrelated."""


def pad_html(setting: Setting, point: tuple[float, float], heat: Heat | None = None) -> str:
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
        "told": heat.told if heat else [],
        "texts": heat.texts if heat else [],
    }
    locked = "".join(
        f'<div class="locked {axis}" title="locked"></div>'
        for axis, low in zip(("across", "up"), lows, strict=True)
        if not low
    )
    ticks = range(-int(EXTENT), int(EXTENT) + 1)
    scale = "".join(f"<span>{signed(tick, '+d')}</span>" for tick in ticks)
    return (
        '<div class="compose-pad"><div '
        f'class="corners">{_corner(a, b, 0, 1)}{_corner(a, b, 1, 1)}</div><div class="frame"><div '
        f'class="scale up" aria-hidden="true">{scale}</div><div class="compose-plane" '
        f'data-facts="{escape(json.dumps(facts))}">{cells(heat) if heat else ""}{locked}<div '
        f'class="zero across"></div><div class="zero up"></div>{_useful(a, b)}<div class="handle" '
        'tabindex="0" role="slider"></div></div><div class="scale across" '
        f'aria-hidden="true">{scale}</div></div><div '
        f'class="corners">{_corner(a, b, 0, 0)}{_corner(a, b, 1, 0)}</div><p class="key"><span><i '
        'class="useful-box"></i> useful range of both</span>'
        f"{'<span><i class=strained></i> locked</span>' if locked else ''}</p>"
        '<p class="compose-readout"></p></div>'
    )


def _corner(a: SteerCard, b: SteerCard, is_right: int, is_top: int) -> str:
    """Return one of the four cases by the poles that meet there."""
    first, second = (a.negative, a.positive)[is_right], (b.negative, b.positive)[is_top]
    return (
        f"<span><b>({'−+'[is_right]}, {'−+'[is_top]})</b> {escape(first)} and "
        f"{escape(second)}</span>"
    )


def _useful(a: SteerCard, b: SteerCard) -> str:
    """Return the rectangle of both useful ranges."""
    (left, right), (bottom, top) = a.epsilon_range, b.epsilon_range
    sides = {
        "left": left + EXTENT,
        "right": EXTENT - right,
        "bottom": bottom + EXTENT,
        "top": EXTENT - top,
    }
    style = ";".join(f"{side}:{max(0.0, 50 * room / EXTENT):.2f}%" for side, room in sides.items())
    return f'<div class="useful-box" style="{style}"></div>'


def word_heat(setting: Setting, found: Plane) -> Heat:
    """Return a word's probability as a map, None where a pole is locked."""
    values = [
        [None if setting.is_locked(x, y) else p for x, p in zip(found.epsilons, row, strict=True)]
        for y, row in zip(found.epsilons, found.probability, strict=True)
    ]
    told = [["locked" if p is None else percent(p) for p in row] for row in values]
    return Heat(f"P(“{found.text.removeprefix(' ')}” comes next)", found.epsilons, values, told)


def style_heat(done: StyleMap, is_up: bool) -> Heat:
    """Return the texts' scores by one of the two steers as a map."""
    steer = done.setting.up if is_up else done.setting.across
    values = [[None if each is None else each[is_up] for each in row] for row in done.scores]
    told = [["locked" if v is None else signed(v) for v in row] for row in values]
    title = (
        f"{steer.name}: nats per token towards {steer.card.positive} (+) or "
        f"{steer.card.negative} (−)"
    )
    return Heat(title, COARSE_GRID, values, told, is_signed=True, texts=done.texts)


def by_first_token(found: Plane, word: str) -> str:
    """Return a sentence for a word of several tokens, else nothing."""
    if found.is_whole:
        return ""
    return (
        f"“{word.strip()}” has several tokens; the map shows its first, "
        f"“{found.text.removeprefix(' ')}”."
    )


def map_note(prompt: str, told: str) -> str:
    """Return what there is to say below the map, first that a long prompt is not read whole."""
    if len(prompt) <= PROMPT_CHARACTERS:
        return widgets.note(told)
    return widgets.note(
        f"Compose reads the prompt's last {PROMPT_CHARACTERS} characters. {told}", "warning"
    )


def numbers_table(setting: Setting, heat: Heat) -> str:
    """Return a map's numbers: as a grid by halves of ε, or one line per text."""
    names = escape(setting.across.name), escape(setting.up.name)
    at = list(enumerate(heat.epsilons))
    if heat.texts:
        head = (
            f"<th>{names[0]}</th><th>{names[1]}</th><th>nats per token</th>"
            + '<th class="text">text</th>'
        )
        lines = (
            f"<td>{epsilon_text(x)}</td><td>{epsilon_text(y)}</td><td>{heat.told[i][j]}</td>"
            f'<td class="text" dir="auto">{escape(heat.texts[i][j])}</td>'
            for i, y in reversed(at)
            for j, x in at
        )
    else:
        halves = at[::2]
        head = f"<th>{names[1]} ↓ {names[0]} →</th>" + "".join(
            f'<th scope="col">{epsilon_text(x)}</th>' for _, x in halves
        )
        lines = (
            f'<th scope="row">{epsilon_text(y)}</th>'
            + "".join(f"<td>{escape(heat.told[i][j])}</td>" for j, _ in halves)
            for i, y in reversed(halves)
        )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        '<div class="scroll"><table '
        f'class="compose-numbers"><caption>{escape(heat.title)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def overlap_text(setting: Setting) -> str:
    """Return how alike the two steers are: one number and what it means."""
    cosine = float(overlap([setting.across, setting.up])[0, 1])
    if abs(cosine) < _UNRELATED:
        told = "near 0 each keeps its own effect, so the two axes can be read apart."
    elif cosine > 0:
        told = (
            "they share part of their effect: one axis also moves the other, and (+, +) overshoots."
        )
    else:
        told = "they partly undo each other: one axis moves the other back."
    return (
        f"<p>Overlap of {escape(setting.across.name)} and {escape(setting.up.name)} (cosine of W₁ "
        f"and W₂): <b>{signed(cosine)}</b>; {told}</p>"
    )


def slider_label(card: SteerCard) -> str:
    """Return the label of a steer's slider."""
    return f"ε of {card.name}"
