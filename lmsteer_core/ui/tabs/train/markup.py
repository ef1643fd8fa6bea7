"""HTML of the New steer tab."""

from __future__ import annotations

from markupsafe import Markup

from lmsteer_core.steers.card import SteerCard
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text

ABOUT = (
    "<h2>What happens</h2><ul><li>The model reads sentences of its own behind both descriptions "
    "(or your examples, or your labels). What that changes becomes a slider.</li><li>Steering "
    "changes wording, not facts, plot or argument, and fluency falls as ε grows: how far each end "
    "can go is measured too.</li><li>Made steers live in this browser session, until the page is "
    "closed; download to keep.</li></ul>"
)


def summary(card: SteerCard) -> Markup:
    """Return a steer's name, poles, useful range and notice."""
    low, high = (epsilon_text(round(limit, 1)) for limit in card.epsilon_range)
    return Markup("<p><b>{}</b>: − {} ↔ {} +, useful from ε = {} to {}.</p>{}").format(
        card.name,
        card.negative,
        card.positive,
        low,
        high,
        widgets.note(card.notice, "warning"),
    )
