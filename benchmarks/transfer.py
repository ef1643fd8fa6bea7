"""A steer on another model: carried there in several ways, against one made there.

    python -m benchmarks.transfer --data DATA --style STYLE --out FILE.jsonl [--source gemma …]
    python -m benchmarks.transfer --out FILE.jsonl --report
    python -m benchmarks.transfer --map-speed | --round-trip

    made        made on the target from two descriptions, as the source's steer was on the source
    behaviour   carried by its shifts of next-word probabilities
    ridge       carried by a map between the embeddings, W′ = H⁻ W H, both ways fitted
    transpose   the same fit, the paper's W′ = Hᵀ W H
    procrustes  the same with a rotation
    official    W′ = Hᵀ W H by the published recipe: Adam on the first 4,000 shared words, 5,000
                steps, rows of Hᵀ brought to length 1

Texts, judges, intervals and the comparison at equal perplexity are those of `benchmarks.quality`,
with the target as the language model. Results and steers are kept, and a second call goes on.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.control import append_result, judge_by_name, read_results
from benchmarks.quality import (
    N_BOOTSTRAP,
    RATIOS,
    STYLES,
    UNSTEERED,
    Curve,
    continue_all,
    figures,
    interval,
    reach,
)
from lmsteer_core import LanguageModel, Steer, load_model, train
from lmsteer_core.evaluation.prompts import read_prompts
from lmsteer_core.training.neutral_text import neutral_text
from lmsteer_core.training.train import calibrated
from lmsteer_core.transfer.behaviour import Behaviour
from lmsteer_core.transfer.embedding_map import EmbeddingMap, Method, carried, fit_map, shared_words
from lmsteer_core.transfer.transfer import transfer_steer

METHODS = ("made", "behaviour", "ridge", "transpose", "procrustes", "official")
EPSILONS = (1.5, 3.0, 4.5)
N_ANCHORS, N_STEPS, LEARNING_RATE = 4000, 5000, 1e-2


def main() -> None:
    """Measure what is not in the file yet, then print the table.

    Or one of the two small questions.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="folder with STYLE/train.jsonl and prompts/neutral.jsonl"
    )
    parser.add_argument("--style", choices=list(STYLES), default="sentiment")
    parser.add_argument("--source", default="embedded")
    parser.add_argument("--target", default="gemma")
    parser.add_argument("--methods", choices=METHODS, nargs="+", default=METHODS)
    parser.add_argument("--n-prompts", type=int, default=304)
    parser.add_argument("--epsilons", type=float, nargs="+", default=EPSILONS, help="above 0")
    parser.add_argument("--out", type=Path, help="JSON lines; read, then added to")
    parser.add_argument("--report", action="store_true", help="only print the table")
    parser.add_argument(
        "--map-speed", action="store_true", help="time the ridge map and the official one"
    )
    parser.add_argument(
        "--round-trip", action="store_true", help="source → target → source, cosine of W"
    )
    options = parser.parse_args()
    if options.map_speed or options.round_trip:
        source, target = (load_model(m, dtype="bfloat16") for m in (options.source, options.target))
        (map_speed if options.map_speed else round_trip)(source, target)
        return
    if not options.out or not (options.report or options.data):
        parser.error("--out is needed, and --data unless --report is given.")
    if not options.report:
        run(options)
    results = read_results(options.out)
    for key in dict.fromkeys((r["style"], r["to"]) for r in results):
        report(*key, [r for r in results if (r["style"], r["to"]) == key])


def run(options: argparse.Namespace) -> None:
    """Measure every method's ε that the file lacks."""
    style, data = STYLES[options.style], options.data / options.style
    source, target = (load_model(m, dtype="bfloat16") for m in (options.source, options.target))
    key = {"style": options.style, "to": f"{source.model_id} → {target.model_id}"}
    done = [r for r in read_results(options.out) if key.items() <= r.items()]
    if any(len(r["n_tokens"]) != options.n_prompts for r in done):
        raise SystemExit(
            f"{options.out} holds results of another number of prompts; write to another file."
        )
    prompts = read_prompts(options.data / "prompts" / "neutral.jsonl", options.n_prompts)
    judges = {style.judge: style.score(), "tfidf": judge_by_name("tfidf", data).score}
    folder = options.out.with_suffix("") / options.style

    def made_on(lm: LanguageModel) -> Steer:
        kept = folder / lm.model_id
        if not (kept / "card.json").is_file():
            train(lm, options.style, style.descriptions).save(kept)
        return Steer.load(kept)

    def steer_by(method: str) -> Steer:
        if method == "made":
            return made_on(target)
        kept = folder / f"{source.model_id} to {target.model_id}" / method
        if not (kept / "card.json").is_file():
            print(f"{options.style}: {method}", flush=True)
            steer = made_on(source)
            if method == "official":
                moved = carried(
                    steer, kept_official_map(folder.parent, source, target), target, steer.name
                )
                made = calibrated(target, moved, Behaviour(source, steer))
            else:
                made = transfer_steer(source, steer, target, method=cast(Method, method))
            made.save(kept)
        return Steer.load(kept)

    def measure(method: str, steer: Steer | None, epsilons: Collection[float]) -> None:
        for texts, epsilon in zip(
            continue_all(target, steer, prompts, epsilons), epsilons, strict=True
        ):
            found = figures(texts, judges)
            append_result(options.out, {**key, "method": method, "epsilon": epsilon, **found})
            shown = "  ".join(
                f"{name} {np.mean(score):.3f}" for name, score in found["scores"].items()
            )
            print(
                f"{method} {epsilon:+g}: {shown}  perplexity {found['perplexity']:.2f}", flush=True
            )

    if not any(r["method"] == UNSTEERED for r in done):
        measure(UNSTEERED, None, [0.0])
    for epsilon in sorted(options.epsilons):
        for method in options.methods:
            known = {r["epsilon"] for r in done if r["method"] == method}
            if missing := [e for e in (epsilon, -epsilon) if e not in known]:
                measure(method, steer_by(method), missing)


def report(style: str, to: str, results: Sequence[dict[str, Any]]) -> None:
    """Print each method's control at equal perplexity and its share of the made steer's."""
    found = {r["method"] for r in results}
    curves = {m: c for m in METHODS if m in found and len((c := Curve(results, m)).epsilon) > 1}
    base = next(r for r in results if r["method"] == UNSTEERED)
    n_prompts = len(base["n_tokens"])
    draws = np.random.default_rng(0).multinomial(
        n_prompts, [1 / n_prompts] * n_prompts, N_BOOTSTRAP
    )
    weights = np.vstack([np.ones(n_prompts), draws.astype(float)])
    print(
        f"\n## {style}, {to}, {n_prompts} prompts, unsteered perplexity {base['perplexity']:.2f}\n"
    )
    judges = list(base["scores"])
    print(
        "| perplexity | method | ±ε "
        f"|{''.join(f' {j} | ÷ made |' for j in judges)} repeated words |"
    )
    print(f"|---|---|---|{'---|---|' * len(judges)}---|")
    for ratio in RATIOS:
        rows = {}
        for method, curve in curves.items():
            places = [reach(curve.epsilon, row, ratio) for row in curve.ratios(weights)]
            at = {
                judge: np.array(
                    [
                        np.interp(e, curve.epsilon, row)
                        for (e, _), row in zip(places, curve.control(judge, weights), strict=True)
                    ]
                )
                for judge in judges
            }
            rows[method] = (places[0], at, np.interp(places[0][0], curve.epsilon, curve.repeated))
        for method, ((epsilon, reached), at, repeated) in rows.items():
            if not reached:
                highest = curves[method].ratios().max()
                print(
                    f"| {ratio:g} × | {method} | reaches {highest:.2f} × "
                    f"|{' – | – |' * len(judges)} – |"
                )
                continue
            cells = ""
            for judge in judges:
                against = "–"
                if method != "made" and "made" in rows and rows["made"][0][1]:
                    against = interval(at[judge] / rows["made"][1][judge])
                cells += f" {interval(at[judge])} | {against} |"
            print(f"| {ratio:g} × | {method} | {epsilon:.2f} |{cells} {repeated:.3f} |")


def official_map(
    source: LanguageModel, target: LanguageModel, n_steps: int = N_STEPS
) -> EmbeddingMap:
    """Return the published recipe's map: Hᵀ, trained to bring anchors to the target.

    The published code compares spellings as the tokenizers write them, here word starts meet
    whatever their mark. As published, the other direction is trained beside it, though nothing uses
    it.
    """
    shared = shared_words(source, target)
    e_source, e_target = (
        lm.output_embedding[ids[:N_ANCHORS]].float()
        for lm, ids in ((source, shared.source_ids), (target, shared.target_ids))
    )
    draw = torch.Generator().manual_seed(0)
    back, there = (
        torch.randn(*shape, generator=draw).requires_grad_()
        for shape in ((target.d_model, source.d_model), (source.d_model, target.d_model))
    )
    adam = torch.optim.Adam([back, there], lr=LEARNING_RATE)
    for _ in range(n_steps):
        adam.zero_grad()
        loss = (e_target @ back - e_source).square().mean() + (
            e_source @ there - e_target
        ).square().mean()
        loss.backward()
        adam.step()
    back = back.detach()
    left_over = (e_target @ back - e_source).square().sum()
    r2 = 1 - float(left_over / (e_source - e_source.mean(dim=0)).square().sum())
    back = back / back.norm(dim=1, keepdim=True)
    return EmbeddingMap(back.T, back, len(e_source), r2)


def kept_official_map(folder: Path, source: LanguageModel, target: LanguageModel) -> EmbeddingMap:
    """Return the official map, from the folder if it is there: it takes many minutes."""
    file = folder / f"{source.model_id} to {target.model_id}.safetensors"
    if not file.is_file():
        made = official_map(source, target)
        save_file({"back": made.back.contiguous(), "r2": torch.tensor(made.r2)}, file)
    kept = load_file(file)
    return EmbeddingMap(kept["back"].T, kept["back"], N_ANCHORS, float(kept["r2"]))


def map_speed(source: LanguageModel, target: LanguageModel) -> None:
    """Print how long the closed-form map takes and the published one, and what they explain."""
    plain = neutral_text(target)
    ridge: list[float] = []
    for _ in range(3):
        start = time.perf_counter()
        found = fit_map(source, target, plain)
        ridge.append(time.perf_counter() - start)
    seconds = {}
    for n_steps in (20, 220):
        start = time.perf_counter()
        official_map(source, target, n_steps)
        seconds[n_steps] = time.perf_counter() - start
    official = (seconds[220] - seconds[20]) / 200 * N_STEPS
    print(
        f"ridge, both ways: {found.n_words} words, R² {found.r2:.3f}, "
        f"{min(ridge):.2f} s (best of 3)"
    )
    print(f"official: {N_ANCHORS} words, {official:.0f} s for {N_STEPS} steps, from 200 of them")
    print(f"official / ridge {official / min(ridge):.0f}")


def round_trip(source: LanguageModel, target: LanguageModel) -> None:
    """Print what is left of a steer after source → target → source."""
    steer = train(source, "sentiment", STYLES["sentiment"].descriptions)
    w, curvature = product(steer), neutral_text(source).curvature
    for method in ("behaviour", "ridge"):
        there = transfer_steer(source, steer, target, method=method)
        w_back = product(transfer_steer(target, there, source, method=method))

        def natural(a: Tensor, b: Tensor) -> float:
            """Return the inner product in which a steer's squared length is its divergence."""
            return float((a * (curvature.hidden @ b @ curvature.embedding)).sum())

        cosine = float((w * w_back).sum() / (w.norm() * w_back.norm()))
        in_effect = natural(w, w_back) / (natural(w, w) * natural(w_back, w_back)) ** 0.5
        print(
            f"{method}: cosine of W {cosine:.3f}, where divergence is length² {in_effect:.3f}",
            flush=True,
        )


def product(steer: Steer) -> Tensor:
    """Return W in float64."""
    return steer.left.double() @ steer.right.double()


if __name__ == "__main__":
    main()
