"""Texts and HTML of the Transfer tab."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from lmsteer_core.steers.steer import Steer
from lmsteer_core.transfer.transfer import FitReport
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text
from lmsteer_core.workbench import Workbench

ONE_MODEL = (
    "Only one model is installed here. For a second one run `make gemma` (Gemma 3 270M, 250 MB), "
    "or put any causal language model into the Hugging Face cache, and start the app again."
)
ABOUT = (
    "<h2>What to expect</h2><ul><li>No labels: the other model learns from what the steer does to "
    "the next word, on text of its own. A linear map between the two models' embeddings needs no "
    "text at all, and is better for words that are rare in plain text, such as insults; carry the "
    "same steer both ways and compare.</li><li>ε is measured anew: on the other model, too, ±3 is "
    "the end of the useful range.</li><li>Steering changes wording, not facts, plot or argument, "
    "on either model.</li></ul>"
)
EQUATION = (
    "Δμ_t = Σ_v ½ (p₊(v) − p₋(v)) e_v,  then the projection of every other source",
    (
        "Both models read the same neutral text. Where a word ends for both, the first "
        "model's next-word probabilities at ε = +1 and −1 tell the second one where its "
        "expected embedding e should move. A map H needs no text: it is fitted to the words "
        "that both vocabularies hold."
    ),
    "transfer/transfer.py",
)


@dataclass(frozen=True)
class Carried:
    """A steer on its own model, and what came of it on the other."""

    source: Workbench
    steer: Steer
    target: Workbench
    new_steer: Steer
    fit: FitReport


def model_heading(model_id: str, note: str) -> Markup:
    """Return a model's id above a note on it."""
    return Markup("<h3>{}</h3><p>{}</p>").format(model_id, note)


def fit_table(carried: Carried) -> Markup:
    """Return what was made, and how the words of both models fit."""
    card, fit = carried.new_steer.card, carried.fit
    low, high = (epsilon_text(round(limit, 1)) for limit in card.epsilon_range)
    rows = Markup("").join(
        Markup('<tr><th scope="row">{}</th><td>{}</td></tr>').format(
            word.strip(), ", ".join(each.strip() for each in nearest)
        )
        for word, nearest in fit.neighbours
    )
    heads = Markup("").join(
        Markup('<th scope="col">{}</th>').format(side.model_id)
        for side in (carried.source, carried.target)
    )
    return Markup(
        "<p><b>{name}</b> on {model}: − {negative} ↔ {positive} +, useful from ε = {low} to {high}."
        "</p>{notice}<p>The two models share {n_shared:,} words. A linear map between their "
        "embeddings explains {r2:.0%} of the variance; by it, the steer's own words lie nearest "
        'to:</p><table class="facts"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>'
        "</table>"
    ).format(
        name=card.name,
        model=card.model_id,
        negative=card.negative,
        positive=card.positive,
        low=low,
        high=high,
        notice=widgets.note(card.notice, "warning"),
        n_shared=fit.n_shared,
        r2=fit.r2,
        heads=heads,
        rows=rows,
    )
