"""How a report names methods, judges, figures and points."""

from __future__ import annotations

from collections.abc import Sequence

from lmsteer_core.evaluation.curves import BOTH
from lmsteer_core.evaluation.summary import Summary


def comparable_points(rivals: Sequence[Summary]) -> list[Summary]:
    """Return the other methods' points at which our curves were measured too."""
    return [
        p
        for p in rivals
        if not p["beyond"] and None not in (p["gap"]["value"], p["perplexity_ratio"])
    ]


def by_measure(summary: Summary, judge: str, model: str, side: str) -> str:
    """Return what control and its cost are measured by."""
    alone = "" if side == BOTH else ", the + side alone"
    return f"By {by(summary, judge)}, perplexity under {model}{alone}"


def title(summary: Summary) -> str:
    """Return the report's title."""
    return f"Evaluation: {summary['settings']['task']} with {summary['settings']['model']}"


TERMS = (
    "Control: how far the judge's score moves from one end of the knob to the other; where only "
    "one side is written, from the text without steering to that end.",
    "Perplexity: how surprised a language model is by the text, given its prompt. It is the cost: "
    "1.25 times as much is still fluent, twice as much is not.",
    "Judge: a program that scores a text for the style and took no part in making what it judges.",
)
"""What a reader must know before the charts."""


def about(summary: Summary) -> list[str]:
    """Return what was done, a paragraph each: how much text, from what, judged by whom."""
    settings = summary["settings"]
    judges, models = (
        "; ".join(f"{name} ({m['version']})" for name, m in summary[kind].items())
        for kind in ("judges", "models")
    )
    return [
        (
            f"{settings['prompts']} prompts × {settings['samples']} continuations × at most "
            f"{settings['max_new_tokens']} tokens, temperature {settings['temperature']:g}, top-p "
            f"{settings['top_p']:g}, seed {settings['seed']}, {settings['dtype']}; the same "
            "prompts and dice for all methods."
        ),
        (
            f"Learned from {settings['texts']:,} labelled texts, or from "
            f"“{settings['descriptions'][0]}” against “{settings['descriptions'][1]}”."
        ),
        f"Judges: {judges}. Perplexity under: {models}.",
    ]


def label_with_judge(summary: Summary, label: str) -> str:
    """Return a figure's label with its judge's version."""
    figure, _, name = label.partition(", ")
    return f"{figure}, {by(summary, name)}" if name in summary["judges"] else label


def by(summary: Summary, judge: str) -> str:
    """Return a judge's name with its version.

    `about` tells the rest, such as what it learned from.
    """
    return f"{judge} ({summary['judges'][judge]['version'].partition(',')[0]})"


_JUDGES = {
    "vader": "a lexicon of good and bad words",
    "profanity": "a classifier of offensive words",
    "tfidf": "a classifier of words, fitted to labelled texts",
    "hf": "a neural classifier",
    "lm": "another language model, asked about the text",
}


def judge_in_words(judge: str) -> str:
    """Return what kind of judge it is, with its name."""
    kind = _JUDGES.get(judge.partition(":")[0])
    return f"{kind} ({judge})" if kind else judge


def span(interval: dict[str, float | None]) -> str:
    """Return a figure with its interval."""
    value, low, high = (plain_number(interval[key]) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def plain_number(value: float | None) -> str:
    """Return a number as a table shows it; a dash where there is none."""
    if value is None:
        return "–"
    return (
        f"{value:.0f}"
        if abs(value) >= 1000
        else f"{value:.1f}"
        if abs(value) >= 10
        else f"{value:.2f}"
    )
