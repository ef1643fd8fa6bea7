"""A driven text → HTML: tokens in the colour of the ε they were written under, ε as a ribbon."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from lmsteer_core.generation.live_row import Token
from lmsteer_core.serving.endless_text import Drive
from lmsteer_core.ui.markup import tokens as token_markup
from lmsteer_core.ui.markup.format import epsilon_text
from lmsteer_core.ui.markup.standalone import plain_cell, standalone
from lmsteer_core.ui.markup.tokens import Piece

SHOWN_TOKENS = 160
"""Of a long text the page keeps the end, so that no work grows with its length."""

_FULL_EPSILON = 3.0
"""|ε| at which the tint is at its strongest, and a ribbon as high as it gets."""


class DrivenText:
    """The end of a driven text, each token tinted by its strongest ε.

    Attributes:
        pieces: Its tokens as they are shown.
        first_change: None: there is no other text to differ from.
        limit: Pieces that are shown.
    """

    def __init__(
        self, prompt: str, tokens: Iterable[Token], *, limit: int | None = SHOWN_TOKENS
    ) -> None:
        """Begin with what is written."""
        self._prompt = prompt
        self.pieces: list[Piece] = []
        self._n_tokens = 0
        self.first_change: int | None = None
        self.limit = limit
        for token in tokens:
            self.add(token)

    def add(self, token: Token) -> None:
        """Let it grow by a token."""
        if token.text:
            strongest = max(token.epsilons.values(), key=abs, default=0.0)
            nats = strongest / _FULL_EPSILON * token_markup.FULL_TINT_NATS
            tip = _setting(token.epsilons)
            surprise = -token.base_logprob
            self.pieces.append(Piece.of(self._n_tokens, token.text, nats, tip, surprise))
        self._n_tokens += 1

    def beginning(self) -> Markup:
        """Return the prompt alone."""
        return token_markup.text_html([token_markup.prompt_html(self._prompt)])

    def html(self) -> Markup:
        """Return what is shown."""
        shown = self.pieces[-self.limit :] if self.limit else self.pieces
        is_cut = len(shown) < len(self.pieces)
        begin = "… " if is_cut else token_markup.prompt_html(self._prompt)
        return token_markup.text_html([begin, *(piece.html() for piece in shown)])


def ribbons(tokens: Sequence[Token], *, limit: int | None = SHOWN_TOKENS) -> Markup:
    """Return ε over the tokens shown, a ribbon for each used steer: + above the line, − below."""
    shown = tokens[-limit:] if limit else tokens
    names = list(dict.fromkeys(name for token in shown for name in token.epsilons))
    width = max(len(shown), SHOWN_TOKENS)
    return Markup().join(
        _ribbon(name, [t.epsilons.get(name, 0.0) for t in shown], width) for name in names
    )


def _ribbon(name: str, epsilons: Sequence[float], width: int) -> Markup:
    bar = Markup('<rect class="{}" x="{}" width="{}" y="{:.2f}" height="{:.2f}"/>')
    bars = Markup().join(
        bar.format(
            "plus" if epsilon > 0 else "minus",
            start,
            stop - start,
            -height if height > 0 else 0,
            abs(height),
        )
        for start, stop, epsilon in _runs(epsilons)
        if (height := max(-1.0, min(1.0, epsilon / _FULL_EPSILON)))
    )
    now, low, high = (epsilon_text(e) for e in (epsilons[-1], min(epsilons), max(epsilons)))
    label = f"ε of {name} over the last {len(epsilons)} tokens: from {low} to {high}, now {now}"
    return Markup(
        '<div class="ribbon"><span>{name} <b>{now}</b></span><svg viewBox="0 -1 {width} 2" '
        'preserveAspectRatio="none" role="img" aria-label="{label}">{bars}<line x1="0" '
        'x2="{width}" y1="0" y2="0"/></svg></div>'
    ).format(name=name, now=now, width=width, label=label, bars=bars)


def _runs(epsilons: Sequence[float]) -> list[tuple[int, int, float]]:
    """Return (start, stop, ε) of neighbours with the same ε."""
    starts = [i for i in range(len(epsilons)) if i == 0 or epsilons[i] != epsilons[i - 1]]
    return [(a, b, epsilons[a]) for a, b in zip(starts, [*starts[1:], len(epsilons)], strict=True)]


def html_of(drive: Drive, model_id: str) -> Markup:
    """Return the whole run as a page that needs no other file."""
    body = Markup(
        "{}{}<p>{:,} tokens of {}; a token's colour is the strongest ε it was "
        "written under, blue + and orange −. Made with LM-Steer Workbench.</p>"
    ).format(
        DrivenText(drive.prompt, drive.written, limit=None).html(),
        ribbons(drive.written, limit=None),
        len(drive.written),
        model_id,
    )
    return standalone("A driven text", body)


def csv_of(drive: Drive) -> str:
    """Return a row per token: index, text, log-probability steered and not (nats), ε per steer."""
    names = sorted({name for token in drive.written for name in token.epsilons})
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["index", "text", "logprob", "base_logprob", *map(plain_cell, names)])
    for i, token in enumerate(drive.written):
        scores = [f"{p:.4f}" for p in (token.logprob, token.base_logprob)]
        writer.writerow(
            [i, plain_cell(token.text), *scores, *(token.epsilons.get(n, 0.0) for n in names)]
        )
    return "\ufeff" + out.getvalue()


def _setting(epsilons: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {epsilon_text(e)}" for name, e in epsilons.items()) or "every ε at 0"
