"""A report's findings in sentences."""

from __future__ import annotations

import numpy as np

from lmsteer_core.evaluation.report.wording import (
    by,
    by_measure,
    comparable_points,
    judge_in_words,
    plain_number,
    span,
)
from lmsteer_core.evaluation.summary import AT_RATIO, Summary

INPUT_STEER = "Input-Steer: is its control continuous, composable and stable?"


def plain(summary: Summary) -> list[str]:
    """Return what a reader who knows no terms yet wants to know, by judge."""
    sentences = []
    for judge in dict.fromkeys(c["judge"] for m in summary["methods"] for c in m["curves"]):
        reach = sorted(
            (
                (c["at_ratio"]["value"], m["ours"], m["name"], c["at_ratio"])
                for m in summary["methods"]
                for c in m["curves"]
                if c["judge"] == judge and c["model"] == next(iter(summary["models"]))
                if m["key"] != "unsteered" and c["at_ratio"]["value"] is not None
            ),
            key=lambda row: row[0],
            reverse=True,
        )
        ours = next((row for row in reach if row[1]), None)
        rival = next((row for row in reach if not row[1]), None)
        if not ours or not rival:
            continue
        is_clear = max(ours[3]["low"], rival[3]["low"]) > min(ours[3]["high"], rival[3]["high"])
        order = "farther than" if ours[0] > rival[0] else "less far than"
        sentences.append(
            f"By {judge_in_words(judge)}, {ours[2]} moves the style "
            f"{order if is_clear else 'about as far as'} the best other way, {rival[2]}: "
            f"by {plain_number(ours[0])} against {plain_number(rival[0])}."
        )
    if not sentences:
        return []
    cost = f"At {AT_RATIO:g} times the perplexity of text without steering:"
    return [f"{cost} {sentences[0]}", *sentences[1:]]


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
