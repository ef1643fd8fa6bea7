"""Ways to run a step on this CPU: their speed, their fidelity, and texts beside company.

    python -m benchmarks.backends [speed] [--decoders torch fast float32 int8 compiled]
    python -m benchmarks.backends fidelity --prompts neutral.jsonl
    python -m benchmarks.backends company [--decoders fast] [--texts N] [--first N]

Speed is the engine's own, baseline rows and rows under the sentiment steer, with log-probabilities,
decoders in turn within one repeat. `torch` is the model as the app loads it and `fast` its OpenVINO
graph; the others are torch's own ways: float32, dynamic int8 weights and activations, and
`torch.compile` of all layers. Fidelity compares the next words of both, and the control of the
sentiment steer at equal perplexity, all of it read by the model in float32. Company writes texts
alone, and again with other rows that join and leave at random; a text that differs counts.
"""

from __future__ import annotations

import argparse
import copy
import random
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.control import continuations
from benchmarks.load import PROMPTS
from lmsteer_core import LanguageModel, Sampling, Steer, load_model
from lmsteer_core.evaluation.curves import Curve, most_control
from lmsteer_core.evaluation.judges import load_judge
from lmsteer_core.evaluation.likelihood import continuation_nll
from lmsteer_core.evaluation.metrics import (
    corpus_perplexity,
    mean_score,
    percentiles,
    resampled,
)
from lmsteer_core.evaluation.prompts import read_prompts
from lmsteer_core.generation.batch import Batch
from lmsteer_core.generation.live_row import LiveRow
from lmsteer_core.models.decoder import Decoder, TorchDecoder, padded
from lmsteer_core.models.graph import graph_folder
from lmsteer_core.models.graph_decoder import GraphDecoder
from lmsteer_core.steers.library import discover, steer_folders

ROWS = (1, 2, 8, 32, 64)
STRENGTHS = (1.0, 2.0, 3.0)
COSTS = (1.1, 1.25)


def main() -> None:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["speed"])
    parser.add_argument("--prompts", type=Path, help="JSON lines with `prompt`, for fidelity")
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first text")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=12)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--decoders", nargs="+", default=["torch", "fast"])
    options = parser.parse_args()
    lm = load_model()
    lm.__dict__["end_ids"] = frozenset()  # every text is as long as it may be
    steers, _ = discover(steer_folders(), lm.output_embedding, lm.model_id)
    decoders = {name: decoder_of(lm, name) for name in options.decoders}
    print(f"torch in {lm.model.dtype}, {torch.get_num_threads()} threads")
    if "speed" in options.parts:
        speed(lm, steers["sentiment"], decoders, options)
    if "fidelity" in options.parts:
        if not options.prompts:
            parser.error("fidelity needs --prompts.")
        fidelity(lm, steers["sentiment"], decoders, read_prompts(options.prompts, 300))
    if "company" in options.parts:
        for name, decoder in decoders.items():
            company(lm, steers["sentiment"], name, decoder, options)


def decoder_of(lm: LanguageModel, name: str) -> Decoder:
    """Return a way to run the model's steps."""
    if name == "torch":
        return lm.reference
    if name == "fast":
        return GraphDecoder(graph_folder(lm.model))
    model: Any = copy.deepcopy(lm.model)
    if name == "compiled":
        model.model = torch.compile(model.model, dynamic=True)
        return TorchDecoder(model, lm.probed)
    model = model.float()
    if name == "int8":
        model = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    return TorchDecoder(model, lm.probed)


def row_of(i: int, steer: Steer, n_tokens: int) -> LiveRow:
    """Return a row, every other one steered."""
    # Every prompt is another one, with dice of its own.
    return LiveRow(
        [], {"sentiment": (0.0, 2.0)[i % 2]}, {"sentiment": steer}, Sampling(0.9, 0.95, n_tokens, i)
    )


def speed(
    lm: LanguageModel, steer: Steer, decoders: dict[str, Decoder], options: argparse.Namespace
) -> None:
    """Print steps a second at several numbers of rows."""
    for n_rows in options.rows:
        rates: dict[str, list[float]] = {name: [] for name in decoders}
        for _ in range(options.repeats):
            for name, decoder in decoders.items():
                rates[name].append(_rate(lm, steer, decoder, n_rows, options.tokens))
        shown = {name: f"{max(rate):.1f}" for name, rate in rates.items()}
        ratio = ""
        for name in decoders:
            ratios = [b / a for a, b in zip(rates["torch"], rates[name], strict=True)]
            spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
            if name != "torch":
                ratio += f"  {name} / torch {statistics.median(ratios):.2f} ({spread})"
        print(f"{n_rows} rows, steps/s at best: {shown}{ratio}", flush=True)


def _rate(lm: LanguageModel, steer: Steer, decoder: Decoder, n_rows: int, n_tokens: int) -> float:
    """Return steps a second after the prompts are read, the median step's."""
    lm.decoder = decoder
    batch, seconds = Batch(lm), []
    rows = [row_of(i, steer, n_tokens) for i in range(n_rows)]
    for i, row in enumerate(rows):
        row.ids = lm.encode(PROMPTS[i % len(PROMPTS)])[0]
    batch.join(rows)
    while batch.rows:
        start = time.perf_counter()
        batch.step()
        seconds.append(time.perf_counter() - start)
    return 1 / statistics.median(seconds[2:])


def fidelity(
    lm: LanguageModel, steer: Steer, decoders: dict[str, Decoder], prompts: list[str]
) -> None:
    """Print how next words and control differ from those of the model in float32."""
    reader = load_model(dtype="float32")
    exact = _log_p(reader, reader.reference, prompts)
    log_p = {name: _log_p(lm, decoder, prompts) for name, decoder in decoders.items()}
    log_p["float32"] = exact
    for name, other in ((a, b) for a in log_p for b in log_p if a < b):
        p, q = log_p[name], log_p[other]
        divergence = (p.exp() * (p - q)).sum(dim=1)
        agreement = (p.argmax(dim=1) == q.argmax(dim=1)).float().mean()
        print(
            f"KL({name} ‖ {other}) of the next word, {len(prompts)} prompts: mean "
            f"{divergence.mean():.4f}, largest {divergence.max():.3f} nats; same likeliest word "
            f"{agreement:.3f}",
            flush=True,
        )
    curves = {name: _curve(lm, steer, d, prompts, reader) for name, d in decoders.items()}
    for cost in COSTS:
        control = {name: most_control([curve], cost) for name, curve in curves.items()}
        for name, values in control.items():
            for label, draws in ((name, values), (f"{name} − torch", values - control["torch"])):
                at = percentiles(float(draws[0]), draws[1:])
                if label != "torch − torch":
                    print(
                        f"control at {cost:g} × perplexity, {label}: {at.value:+.3f} "
                        f"({at.low:+.3f} to {at.high:+.3f})",
                        flush=True,
                    )


@torch.inference_mode()
def _log_p(lm: LanguageModel, decoder: Decoder, prompts: list[str]) -> torch.Tensor:
    """Return the log-probabilities of every word behind each prompt, (n_prompts, vocab_size)."""
    rows = []
    for prompt in prompts:
        output = decoder.read(*padded([lm.encode(prompt)[0]], lm.device), None)
        rows.append(lm.finish(output.product[:, : lm.vocab_size]).log_softmax(dim=-1))
    return torch.cat(rows)


def _curve(
    lm: LanguageModel, steer: Steer, decoder: Decoder, prompts: list[str], reader: LanguageModel
) -> Curve:
    """Return VADER's control and perplexity under another model, of one text a prompt."""
    lm.decoder = decoder
    judge = load_judge("vader")
    weights = np.vstack([np.ones(len(prompts)), resampled(len(prompts))])

    def point(epsilon: float) -> tuple[Any, Any]:
        texts = [row.text for row in continuations(lm, steer, prompts, epsilon)]
        nll, n_tokens = continuation_nll(reader, prompts, texts)
        scores = np.array(judge.score(texts), dtype=float)[:, None]
        cost = corpus_perplexity(np.array(nll)[:, None], np.array(n_tokens, dtype=float)[:, None])
        return mean_score(scores).at(weights), cost.at(weights)

    _, unsteered = point(0.0)
    control, ratio = [np.zeros(len(weights))], [np.ones(len(weights))]
    for strength in STRENGTHS:
        (above, larger), (below, other) = point(strength), point(-strength)
        control.append(above - below)
        ratio.append(np.sqrt(larger * other) / unsteered)
    return Curve([0.0, *STRENGTHS], np.array(control), np.array(ratio))


def company(
    lm: LanguageModel, steer: Steer, name: str, decoder: Decoder, options: argparse.Namespace
) -> None:
    """Print how many of some texts differ in company that comes and goes."""
    lm.decoder = decoder
    n_tokens, n_texts = 40, options.texts

    def rows() -> list[LiveRow]:
        made = []
        for i in range(options.first, options.first + n_texts):
            made.append(row_of(i, steer, n_tokens))
            made[-1].ids = lm.encode(f"{PROMPTS[i % len(PROMPTS)]} {i}")[0]
        return made

    alone = [tokens for row in rows() for tokens in _write(lm, [row], 1)]
    crowd = _write(lm, rows(), 8, options.first)
    n_differ = sum(a != b for a, b in zip(alone, crowd, strict=True))
    print(f"{name}: {n_differ} of {n_texts} texts differ in company", flush=True)


def _write(lm: LanguageModel, rows: list[LiveRow], most: int, seed: int = 0) -> list[list[int]]:
    """Return the rows' tokens, with up to so many rows at once, which begin at random."""
    dice = random.Random(seed)
    waiting, texts, batch = list(rows), {row: list[int]() for row in rows}, Batch(lm)
    while waiting or batch.rows:
        while waiting and len(batch.rows) < dice.randint(1, most):
            batch.join([waiting.pop(0)])
        for row, token in batch.step().items():
            texts[row].append(getattr(token, "id", -1))
    return [texts[row] for row in rows]


if __name__ == "__main__":
    main()
