"""A token's log-probabilities, their parts as bars, and its alternatives, as HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from lmsteer_core.analysis.inspection import Alternative, InspectedToken, SteerShare
from lmsteer_core.ui.markup.format import epsilon_text, percent, signed, visible

_CONTEXT_CHARACTERS = 60
_SHOWN_DIMENSIONS = 6

_NORMALISER = "what the other words gain or lose; a probability is a share of one whole"
_SOFTCAP = "this model bends its logits; the difference to the straight sum"


class _Part(NamedTuple):
    """A term of a sum: what it is called, in nats, and what it means."""

    name: str
    nats: float
    tip: str


def drawer(
    found: InspectedToken,
    *,
    before: str,
    notes: Sequence[str],
    words: Mapping[str, Sequence[str]],
    branch_field: str,
) -> Markup:
    """Return what the drawer shows of a token.

    Args:
        found: The token.
        before: The text before it.
        notes: Sentences on what it is.
        words: By steer name, the words of its strongest dimensions.
        branch_field: Id of the field by which texts go on from another token; "" if they cannot.
    """
    token = found.token
    if not found.shares:
        notes = [*notes, "Every ε is 0 here: nothing moved it."]
    return Markup(
        '<h2 id="inspector-title">“{word}”</h2>'
        '<p class="inspector-context" dir="auto">{context}<b>{text}</b></p>{notes}'
        '<table class="inspector-odds"><thead><tr><td></td><th scope="col">before</th>'
        '<th scope="col">after steering</th></tr></thead><tbody>'
        '<tr><th scope="row">log p, nats</th><td>{base}</td><td>{steered}</td></tr>'
        '<tr><th scope="row">probability</th><td>{base_p}</td><td>{p}</td></tr>'
        '<tr><th scope="row">rank</th><td>{base_rank:,}</td><td>{rank:,}</td></tr>'
        "</tbody></table>{parts}<h3>{choose}</h3>"
        '<div class="inspector-lists">{before_list}{after_list}</div>'
    ).format(
        word=visible(token.text),
        context=_end(before),
        text=token.text,
        notes=Markup().join(map(Markup("<p>{}</p>").format, notes)),
        base=signed(token.base_logprob, ".4f"),
        steered=signed(token.logprob, ".4f"),
        base_p=percent(math.exp(token.base_logprob)),
        p=percent(math.exp(token.logprob)),
        base_rank=found.base_rank,
        rank=found.rank,
        parts=_parts(found, words) if found.shares else "",
        choose="Continue from here with" if branch_field else "The likeliest here",
        before_list=_alternatives("before", found.before, token, branch_field),
        after_list=_alternatives("after steering", found.after, token, branch_field),
    )


def _parts(found: InspectedToken, words: Mapping[str, Sequence[str]]) -> Markup:
    """Return what sums to the shift: a bar begins where the one above it ends."""
    top = [
        *(
            _Part(f"{share.name} {epsilon_text(share.epsilon)}", share.nats, "")
            for share in found.shares
        ),
        *([_Part("softcap", found.softcap, _SOFTCAP)] if found.softcap else []),
        _Part("normaliser", found.normaliser, _NORMALISER),
    ]
    bars = _waterfall([*top, _Part("shift of log p", found.shift, "")])
    folded = Markup().join(
        _dimensions(share, words.get(share.name, ()), is_open=len(found.shares) == 1)
        for share in found.shares
    )
    return Markup(
        "<h3>What moved it, in nats</h3>{}{}"
        '<p class="inspector-about">A share is ε σᵢ (h · uᵢ)(vᵢ · e), less that of the average '
        "word, exactly. The normaliser is {}.</p>"
    ).format(bars, folded, _NORMALISER)


def _dimensions(share: SteerShare, words: Sequence[str], *, is_open: bool) -> Markup:
    """Return the bars of a steer's strongest dimensions, which sum to its share."""
    order = sorted(range(len(share.dimensions)), key=lambda i: -abs(share.dimensions[i]))
    names = [*(f"{i}: {word}" for i, word in enumerate(words, 1))]
    parts = [
        _Part(names[i] if i < len(names) else f"dimension {i + 1}", share.dimensions[i], "")
        for i in order[:_SHOWN_DIMENSIONS]
    ]
    if rest := order[_SHOWN_DIMENSIONS:]:
        parts.append(_Part(f"{len(rest)} more", sum(share.dimensions[i] for i in rest), ""))
    return Markup("<details{}><summary>{} by dimension</summary>{}</details>").format(
        Markup(" open") if is_open else "",
        share.name,
        _waterfall([*parts, _Part(share.name, share.nats, "")]),
    )


def _waterfall(parts: Sequence[_Part]) -> Markup:
    """Return parts as bars, each beginning where the one before ends; the last one is the sum."""
    ends, at = [], 0.0
    for part in parts[:-1]:
        ends.append((at, at + part.nats))
        at += part.nats
    ends.append((0.0, parts[-1].nats))
    low = min(0.0, *(min(each) for each in ends))
    span = max(0.0, *(max(each) for each in ends)) - low or 1.0
    row = Markup(
        '<tr{}><th scope="row"{}>{}</th><td class="num {}">{}</td><td class="track">'
        '<i class="zero" style="left:{:.2f}%"></i>'
        '<i class="{}" style="left:{:.2f}%;width:{:.2f}%"></i></td></tr>'
    )
    rows = []
    for i, (part, (a, b)) in enumerate(zip(parts, ends, strict=True)):
        side = "plus" if part.nats >= 0 else "minus"
        rows.append(
            row.format(
                Markup(' class="sum"') if i == len(parts) - 1 else "",
                Markup(' title="{}"').format(part.tip) if part.tip else "",
                part.name,
                side,
                signed(part.nats, "+.4f"),
                100 * -low / span,
                side,
                100 * (min(a, b) - low) / span,
                100 * abs(b - a) / span,
            )
        )
    return Markup('<table class="inspector-parts"><tbody>{}</tbody></table>').format(
        Markup().join(rows)
    )


def _alternatives(
    title: str, listed: Sequence[Alternative], token: Alternative, branch_field: str
) -> Markup:
    """Return the likeliest tokens; with a field, each is a button that goes on from it."""
    button = Markup('<button type="button" data-branch="{}" data-choice="{}">{}</button>')
    row = Markup('<tr{}><th scope="row">{}</th><td>{}</td><td>{}</td></tr>')
    rows = Markup().join(
        row.format(
            Markup(' aria-current="true"') if each.token_id == token.token_id else "",
            button.format(branch_field, each.token_id, visible(each.text))
            if branch_field
            else visible(each.text),
            signed(each.base_logprob, ".2f"),
            signed(each.logprob, ".2f"),
        )
        for each in listed
    )
    return Markup(
        '<table><caption>Likeliest {}</caption><thead><tr><th scope="col">token</th>'
        '<th scope="col">before</th><th scope="col">after</th></tr></thead>'
        "<tbody>{}</tbody></table>"
    ).format(title, rows)


def _end(text: str) -> str:
    return text if len(text) <= _CONTEXT_CHARACTERS else f"… {text[-_CONTEXT_CHARACTERS:]}"
