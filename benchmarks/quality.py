"""Control against fluency as curves: several ways to make a steer, at equal perplexity.

    python -m benchmarks.quality --data DATA --style sentiment --out FILE.jsonl [--methods labels …]
    python -m benchmarks.quality --out FILE.jsonl --report

    official-1000   the published recipe on DATA/STYLE/train.jsonl, as long as published
    official-300    the same run stopped after 300 steps, its best early stop
    labels          closed form on the same file
    examples        closed form on 25 + 25 of its texts
    descriptions    closed form on two descriptions, no data
    combined        descriptions 0.7 + labels 0.3

Every steer is calibrated, then continues the same neutral half-sentences with the same dice at ±ε
(20 tokens, temperature 1, top-p 0.9; the model in bf16). Where ±4 does not reach a perplexity ratio
of 1.5, larger ε follow. Control is a judge's mean at +ε minus at −ε; judges score towards the +
pole. Perplexity is the text's under the unsteered model, as the geometric mean of both signs over
that of unsteered text. Control at a perplexity ratio is interpolated in ε, after isotonic smoothing
of the ratio's logarithm; intervals are 95 % bootstrap intervals over prompts, one draw of prompts
for all methods. A draw that never reaches the ratio counts with the end of its curve.

The tfidf judge learns from the file that the official recipe, labels, examples and combined learn
from, which favours them; the other judge has seen neither the file nor the descriptions.

One line per (style, method, ε) is written as soon as it is there, and steers are kept in a folder
beside FILE.jsonl: a second call goes on where the first stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.control import SAMPLING, append_result, judge_by_name, read_results
from lmsteer_core import (
    Combined,
    Descriptions,
    Examples,
    Generated,
    LabelledText,
    LanguageModel,
    Row,
    Steer,
    generate,
    load_model,
    train,
)
from lmsteer_core.evaluation.judges import Score, load_judge
from lmsteer_core.evaluation.prompts import read_prompts
from lmsteer_core.generation.generate import MAX_ROWS
from lmsteer_core.training.calibration import perplexity, repetition
from lmsteer_core.training.labelled_file import Labelled, read_labelled
from lmsteer_core.training.official_recipe import train_official
from lmsteer_core.training.train import calibrated

Array = NDArray[np.float64]

EPSILONS = (0.75, 1.5, 2.25, 3.0, 4.0)
MORE_EPSILONS = (5.5, 7.5, 10.0)
RATIOS = (1.1, 1.25, 1.5)
OFFICIAL_STEPS = {"official-1000": 1000, "official-300": 300}
METHODS = (*OFFICIAL_STEPS, "labels", "examples", "descriptions", "combined")
UNSTEERED = "unsteered"
N_EXAMPLES = 25
EXAMPLE_WORDS = (8, 30)
N_BOOTSTRAP = 1000


@dataclass(frozen=True)
class Style:
    """Descriptions of the poles and a judge unlike a classifier of the training file."""

    descriptions: Descriptions
    judge: str
    score: Callable[[], Score]


def main() -> None:
    """Measure what is not in the file yet, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="folder with STYLE/train.jsonl and prompts/neutral.jsonl"
    )
    parser.add_argument("--style", choices=list(STYLES), help="with --report: this style alone")
    parser.add_argument("--methods", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--n-prompts", type=int, default=320)
    parser.add_argument("--epsilons", type=float, nargs="+", default=EPSILONS, help="above 0")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines; read, then added to")
    parser.add_argument("--report", action="store_true", help="only print the table")
    options = parser.parse_args()
    if not options.report:
        if not options.data or not options.style:
            parser.error("--data and --style are needed unless --report is given.")
        run(options)
    results = read_results(options.out)
    for style in dict.fromkeys(result["style"] for result in results):
        if options.style in (None, style):
            report(style, [result for result in results if result["style"] == style])


def run(options: argparse.Namespace) -> None:
    """Measure every method's ε that the file lacks."""
    style, data = options.style, options.data / options.style
    done = [r for r in read_results(options.out) if r["style"] == style]
    if any(len(r["n_tokens"]) != options.n_prompts for r in done):
        raise SystemExit(
            f"{options.out} holds results of another number of prompts; write to another file."
        )
    prompts = read_prompts(options.data / "prompts" / "neutral.jsonl", options.n_prompts)
    judges = {
        STYLES[style].judge: STYLES[style].score(),
        "tfidf": judge_by_name("tfidf", data).score,
    }
    lm = load_model(dtype="bfloat16")

    def measure(method: str, steer: Steer | None, epsilons: Collection[float]) -> None:
        for texts, epsilon in zip(
            continue_all(lm, steer, prompts, epsilons), epsilons, strict=True
        ):
            result = figures(texts, judges)
            done.append({"style": style, "method": method, "epsilon": epsilon, **result})
            append_result(options.out, done[-1])
            shown = "  ".join(
                f"{name} {np.mean(found):.3f}" for name, found in result["scores"].items()
            )
            print(
                f"{style} {method} {epsilon:+g}: {shown}  perplexity {result['perplexity']:.2f}",
                flush=True,
            )

    if not any(r["method"] == UNSTEERED for r in done):
        measure(UNSTEERED, None, [0.0])
    for method in options.methods:
        steer: Steer | None = None
        for epsilon in [*sorted(options.epsilons), *MORE_EPSILONS]:
            known = {r["epsilon"] for r in done if r["method"] == method}
            if epsilon in MORE_EPSILONS and Curve(done, method).ratios().max() >= max(RATIOS):
                break
            missing = [e for e in (epsilon, -epsilon) if e not in known]
            if missing:
                folder = options.out.with_suffix("") / style
                steer = steer or make(lm, style, method, data, folder, options.methods)
                measure(method, steer, missing)


def make(
    lm: LanguageModel, style: str, method: str, data: Path, folder: Path, wanted: Collection[str]
) -> Steer:
    """Return a method's steer, from the folder if it is there."""
    if not (folder / method / "card.json").is_file():
        print(f"{style}: making {method}", flush=True)
        labelled = read_labelled(data / "train.jsonl")
        labels = LabelledText(labelled.texts, labelled.labels)
        described = STYLES[style].descriptions
        if method in OFFICIAL_STEPS:
            made = official(lm, labels, [m for m in OFFICIAL_STEPS if m in wanted])
        elif method == "labels":
            made = [train(lm, method, labels)]
        elif method == "examples":
            made = [train(lm, method, examples(labelled))]
        elif method == "descriptions":
            made = [train(lm, method, described)]
        else:
            made = [train(lm, method, Combined(((described, 0.7), (labels, 0.3))))]
        for steer in made:
            steer.save(folder / steer.name)
    return Steer.load(folder / method)


def official(lm: LanguageModel, source: LabelledText, methods: Sequence[str]) -> list[Steer]:
    """Return the published recipe's steers from one run, calibrated as all others are."""
    n_steps = {method: OFFICIAL_STEPS[method] for method in methods}

    def progress(share: float, what: str) -> None:
        if round(share * max(n_steps.values())) % 50 == 0:
            print(f"  {what}", flush=True)

    found = train_official(
        lm, "official", source.texts, source.labels, snapshots=n_steps.values(), progress=progress
    )
    named = [
        dataclasses.replace(found[n], card=dataclasses.replace(found[n].card, name=name))
        for name, n in n_steps.items()
    ]
    return [calibrated(lm, steer, source) for steer in named]


def examples(labelled: Labelled) -> Examples:
    """Return texts of moderate length with the strongest label of either side, always the same."""
    draw = random.Random(0)
    low, high = EXAMPLE_WORDS

    def side(label: float) -> list[str]:
        texts = [
            t for t, found in zip(labelled.texts, labelled.labels, strict=True) if found == label
        ]
        return draw.sample([t for t in texts if low <= len(t.split()) <= high], N_EXAMPLES)

    return Examples(side(max(labelled.labels)), side(min(labelled.labels)))


def continue_all(
    lm: LanguageModel, steer: Steer | None, prompts: Sequence[str], epsilons: Collection[float]
) -> list[list[Generated]]:
    """Return each ε's continuations; prompt i has its own dice, the same for every ε and steer."""
    steers = {"steer": steer} if steer else {}
    # A prompt's ε stand side by side, so that they share a batch and its dice.
    rows = [
        Row(p, dict.fromkeys(steers, e), seed_offset=i)
        for i, p in enumerate(prompts)
        for e in epsilons
    ]
    done: list[Generated] = []
    for start in range(0, len(rows), MAX_ROWS):
        done += generate(lm, rows[start : start + MAX_ROWS], steers, SAMPLING)
    return [done[i :: len(epsilons)] for i in range(len(epsilons))]


def figures(done: Sequence[Generated], judges: dict[str, Score]) -> dict[str, Any]:
    """Return one ε's line: scores, log-probability (nats) and tokens per prompt, and the means."""
    texts = [row.text for row in done]
    repeated, distinct_2 = repetition(texts)
    return {
        "scores": {
            name: [round(float(score), 4) for score in judge(texts)]
            for name, judge in judges.items()
        },
        "logprob": [round(sum(token.base_logprob for token in row.tokens), 2) for row in done],
        "n_tokens": [len(row.tokens) for row in done],
        "perplexity": round(perplexity(done), 3),
        "repeated": round(repeated, 4),
        "distinct_2": round(distinct_2, 4),
    }


class Curve:
    """One method's results over ε ≥ 0; the first point is the unsteered text.

    Attributes:
        epsilon: Ascending from 0, n_epsilons of them.
        repeated: Mean of both signs, per ε.
        distinct_2: The same.
    """

    def __init__(self, results: Sequence[dict[str, Any]], method: str) -> None:
        """Pick a method's results; an ε whose other sign is missing is left out."""
        base = next(r for r in results if r["method"] == UNSTEERED)
        by_epsilon = {r["epsilon"]: r for r in results if r["method"] == method}
        self.epsilon = [0.0, *sorted(e for e in by_epsilon if e > 0 and -e in by_epsilon)]
        self._pairs = [(base, base), *((by_epsilon[e], by_epsilon[-e]) for e in self.epsilon[1:])]
        self.repeated = [(plus["repeated"] + minus["repeated"]) / 2 for plus, minus in self._pairs]
        self.distinct_2 = [
            (plus["distinct_2"] + minus["distinct_2"]) / 2 for plus, minus in self._pairs
        ]

    def ratios(self, weights: Array | None = None) -> Array:
        """Return the perplexity over the unsteered, (…, n_epsilons), for weighted prompts."""
        nll = np.mean([self._nll(sign, weights) for sign in (0, 1)], axis=0)
        return np.asarray(np.exp(nll - nll[..., :1]))

    def control(self, judge: str, weights: Array | None = None) -> Array:
        """Return the judge's mean at +ε minus at −ε, (…, n_epsilons)."""
        gaps = np.array(
            [
                np.subtract(plus["scores"][judge], minus["scores"][judge])
                for plus, minus in self._pairs
            ]
        )
        weights = np.ones(gaps.shape[1]) if weights is None else weights
        return np.asarray(weights @ gaps.T / weights.sum(axis=-1, keepdims=True))

    def _nll(self, sign: int, weights: Array | None) -> Array:
        logprob = np.array([pair[sign]["logprob"] for pair in self._pairs], dtype=float)
        n_tokens = np.array([pair[sign]["n_tokens"] for pair in self._pairs], dtype=float)
        weights = np.ones(logprob.shape[1]) if weights is None else weights
        return np.asarray(-(weights @ logprob.T) / (weights @ n_tokens.T))


def reach(epsilon: Sequence[float], ratios: Array, ratio: float) -> tuple[float, bool]:
    """Return the ε at which a curve of perplexity ratios reaches `ratio`, or its end and False."""
    from sklearn.isotonic import isotonic_regression

    rising = isotonic_regression(np.log(ratios))
    target = np.log(ratio)
    for i in range(1, len(rising)):
        if rising[i] >= target:
            step = max(0.0, (target - rising[i - 1]) / (rising[i] - rising[i - 1]))
            return float(epsilon[i - 1] + step * (epsilon[i] - epsilon[i - 1])), True
    return float(epsilon[-1]), False


def report(style: str, results: Sequence[dict[str, Any]]) -> None:
    """Print the curves and the control at equal perplexity."""
    found = {result["method"] for result in results}
    curves = {m: c for m in METHODS if m in found and len((c := Curve(results, m)).epsilon) > 1}
    base = next(result for result in results if result["method"] == UNSTEERED)
    n_prompts = len(base["n_tokens"])
    print(
        f"\n## {style}, {n_prompts} prompts, unsteered perplexity {base['perplexity']:.2f}, "
        f"repeated words {base['repeated']:.3f}, dist-2 {base['distinct_2']:.3f}\n"
    )
    judges = list(base["scores"])
    print(f"| method | ±ε | perplexity ratio | {' | '.join(judges)} | repeated | dist-2 |")
    print(f"|---|---|---|{'---|' * len(judges)}---|---|")
    for method, curve in curves.items():
        ratios, controls = curve.ratios(), [curve.control(judge) for judge in judges]
        for i, epsilon in enumerate(curve.epsilon[1:], start=1):
            print(
                f"| {method} | {epsilon:g} | {ratios[i]:.2f} "
                f"| {' | '.join(f'{control[i]:.3f}' for control in controls)} "
                f"| {curve.repeated[i]:.3f} | {curve.distinct_2[i]:.3f} |"
            )
    draws = np.random.default_rng(0).multinomial(
        n_prompts, [1 / n_prompts] * n_prompts, N_BOOTSTRAP
    )
    # the first row is the data itself
    weights = np.vstack([np.ones(n_prompts), draws.astype(float)])
    ratios_by_method = {method: curve.ratios(weights) for method, curve in curves.items()}
    for judge in judges:
        print(f"\nControl by {judge} at equal perplexity, 95 % intervals\n")
        print("| ratio | method | ±ε | control | / official-300 | / official-1000 | repeated |")
        print("|---|---|---|---|---|---|---|")
        by_method = {method: curve.control(judge, weights) for method, curve in curves.items()}
        for ratio in RATIOS:
            at, reached, where = {}, {}, {}
            for method, curve in curves.items():
                places = [reach(curve.epsilon, row, ratio) for row in ratios_by_method[method]]
                where[method], reached[method] = places[0]
                at[method] = np.array(
                    [
                        np.interp(e, curve.epsilon, row)
                        for (e, _), row in zip(places, by_method[method], strict=True)
                    ]
                )
            for method, curve in curves.items():
                if not reached[method]:
                    highest = ratios_by_method[method][0].max()
                    print(f"| {ratio:g} | {method} | n/a (max {highest:.2f}) | – | – | – | – |")
                    continue
                against = [
                    interval(at[method] / at[rival])
                    if reached.get(rival) and rival != method
                    else "–"
                    for rival in ("official-300", "official-1000")
                ]
                print(
                    f"| {ratio:g} | {method} | {where[method]:.2f} | {interval(at[method])} "
                    f"| {' | '.join(against)} "
                    f"| {np.interp(where[method], curve.epsilon, curve.repeated):.3f} |"
                )


def interval(values: Array) -> str:
    """Return the first value with the others' 95 % interval."""
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return f"{values[0]:.2f} ({low:.2f} to {high:.2f})"


def _vader() -> Score:
    return load_judge("vader").score


def _clean() -> Score:
    score = load_judge("profanity").score
    return lambda texts: [1 - float(p) for p in score(texts)]


def _share(words: str) -> Callable[[], Score]:
    """Return a judge: the share of a text's words that are in a list."""
    listed = frozenset(words.split())

    def score(texts: Sequence[str]) -> list[float]:
        found = [
            re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("’", "'")) for text in texts
        ]
        return [sum(word in listed for word in text) / max(1, len(text)) for text in found]

    return lambda: score


STYLES = {
    "sentiment": Style(
        Descriptions(
            "a wonderful, joyful and very positive text about how great everything is",
            "a terrible, miserable and very negative text about how awful everything is",
        ),
        "vader",
        _vader,
    ),
    "detoxification": Style(
        Descriptions(
            "a polite, respectful and friendly message",
            "a rude, hateful rant full of insults and swear words",
        ),
        "profanity",
        _clean,
    ),
    "shakespeare": Style(
        Descriptions(
            "I pray thee, good sir, hark what thou hast done, for thy lord doth weep and "
            "his heart hath no peace",
            "please listen to what you have done, because your boss is crying and has no peace",
            keep_own_words=True,
        ),
        "archaic",
        _share(
            "thou thee thy thine thyself ye hath hast doth dost wilt shalt wouldst shouldst "
            "couldst canst didst hadst wert mayst tis twas wherefore whence hence hither "
            "thither whither nay prithee methinks ere oft anon o'er ne'er e'er hark lo alas "
            "unto betwixt forsooth verily art"
        ),
    ),
    "subjectivity": Style(
        Descriptions(
            "a personal opinion full of judgement and feeling",
            "a plain summary of what happens in the story",
        ),
        "opinion words",
        _share(
            "i me my you your very really quite rather too so feel feels felt seem seems think "
            "believe opinion honestly frankly simply just even never always enough perhaps maybe "
            "probably should must good bad better best worse worst great fine funny dull boring "
            "interesting beautiful ugly perfect clever stupid silly brilliant terrible awful "
            "wonderful love hate like enjoy worth"
        ),
    ),
    "clickbait": Style(
        Descriptions(
            "a clickbait headline that makes everybody curious",
            "a sober headline of a serious newspaper",
        ),
        "curiosity words",
        _share(
            "you your you're you'll yourself this these here here's why how what who which things "
            "thing reasons ways times everyone everybody everything ever actually literally "
            "totally will should need know guess never always most best every weird crazy "
            "hilarious adorable perfect"
        ),
    ),
}


if __name__ == "__main__":
    main()
