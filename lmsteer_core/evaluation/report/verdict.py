"""A report's findings in sentences."""

from __future__ import annotations

import numpy as np

from lmsteer_core.evaluation.report.wording import (
    by,
    by_measure,
    comparable_points,
    plain_number,
    span,
)
from lmsteer_core.evaluation.summary import Summary

INPUT_STEER = "Input-Steer: is its control continuous, composable and stable?"


def verdict(summary: Summary) -> list[str]:
    """Return whether a method has more control at lower perplexity than ours, by measure."""
    rivals: dict[tuple[str, str, str], list[Summary]] = {}
    for p in summary["frontier"]:
        rivals.setdefault((p["judge"], p["model"], p["side"]), []).append(p)
    if not rivals:
        return ["There is no LM-Steer in this run, or nothing to set beside it."]
    details, n_led, n_unsure = [], 0, 0
    for measure, rival_points in rivals.items():
        best: dict[str, Summary] = {}  # a method's own point that is farthest beyond our curve
        for p in sorted(comparable_points(rival_points), key=_gap):
            best[p["method"]] = p
        ahead = [p for p in sorted(best.values(), key=_gap, reverse=True) if _gap(p) > 0]
        n_led += any(_is_sure(p) for p in ahead)
        n_unsure += bool(ahead) and not any(_is_sure(p) for p in ahead)
        leads = "; ".join(
            (
                f"{p['method']} at {p['side']}{p['strength']:g} has {span(p['gap'])} more "
                "control than LM-Steer at no more perplexity "
                f"({plain_number(p['perplexity_ratio'])} × unsteered)"
            )
            + ("" if _is_sure(p) else ", which is within the noise")
            for p in ahead
        )
        none = "no method has more control than LM-Steer at the same or lower perplexity"
        details.append(f"{by_measure(summary, *measure)}: {leads or none}.")
    n = len(rivals)
    headline = (
        f"By {n - n_led - n_unsure} of {n} measures no method has both more control and "
        f"lower perplexity than LM-Steer; by {n_unsure} a lead is within the noise, by "
        f"{n_led} a method leads."
    )
    return [headline, *details]


def input_steer(summary: Summary) -> list[str]:
    """Return, with figures, whether Input-Steer's control is continuous, composable and stable."""
    method = next((m for m in summary["methods"] if m["key"] == "input-steer"), None)
    if method is None or not method["curves"]:
        return ["Not run. It is the method input-steer and takes labelled text."]
    sentences = []
    for judge, continuity in method["continuity"].items():
        first, *_, last = continuity["strengths"]
        sentences.append(
            f"Continuous? By {by(summary, judge)}, over {len(continuity['means'])} strengths "
            f"from {plain_number(first)} to {plain_number(last)}: rank correlation with "
            f"the mean score {plain_number(continuity['spearman'])} (1 is monotone), R² of a "
            f"line {plain_number(continuity['r2'])}, largest step "
            f"{plain_number(continuity['largest_step'])} × the mean slope."
        )
    grids = [g for g in summary["composition"] if g["method"] == method["name"]]
    sentences += [
        f"Composable? By {by(summary, g['judge'])}, a row effect plus a column effect is "
        f"{plain_number(g['additivity'])} of the variance of its {len(g['means'])} × "
        f"{len(g['held'])} grid (1 is additive), whose means span "
        f"{plain_number(np.ptp(g['means']))}."
        for g in grids
    ] or ["Composable? Not run: --sections composition."]
    for curve in method["curves"]:
        last = curve["points"][-1]
        widths = [
            p["control"]["high"] - p["control"]["low"]
            for p in curve["points"]
            if p["control"]["value"]
        ]
        sentences.append(
            f"Stable? {by_measure(summary, curve['judge'], curve['model'], curve['side'])}: at "
            f"{curve['side']}{last['strength']:g} perplexity is {span(last['perplexity_ratio'])} "
            f"× unsteered at a control of {span(last['control'])}; the widest interval of "
            f"control is {plain_number(max(widths, default=None))}. One training was run: other "
            "seeds are not measured."
        )
    return sentences


def _gap(point: Summary) -> float:
    return float(point["gap"]["value"])


def _is_sure(point: Summary) -> bool:
    return float(point["gap"]["low"]) > 0
