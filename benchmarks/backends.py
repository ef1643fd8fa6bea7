"""The fast backend against torch on this CPU: speed, fidelity, and texts beside company.

    python -m benchmarks.backends [speed] [fidelity] [company] [--texts N] [--repeats N]

Speed is the engine's own, baseline rows and rows under the sentiment steer, with log-probabilities,
decoders in turn within one repeat. Company writes texts alone, and again with other rows that join
and leave at random; a text that differs counts.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

import torch

from benchmarks.load import PROMPTS
from lmsteer_core import LanguageModel, Sampling, Steer, load_model
from lmsteer_core.generation.batch import Batch
from lmsteer_core.generation.live_row import LiveRow
from lmsteer_core.models.decoder import Decoder
from lmsteer_core.models.decoder_choice import measure
from lmsteer_core.models.graph import graph_folder
from lmsteer_core.models.graph_decoder import GraphDecoder
from lmsteer_core.steers.library import discover, steer_folders

ROWS = (1, 2, 8, 32, 64)


def main() -> None:
    """Print a table for each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["speed", "fidelity", "company"])
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=12)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--decoders", nargs="+", default=["torch", "fast"])
    options = parser.parse_args()
    lm = load_model()
    lm.__dict__["end_ids"] = frozenset()  # every text is as long as it may be
    steers, _ = discover(steer_folders(), lm.output_embedding, lm.model_id)
    fast = GraphDecoder(graph_folder(lm.model))
    decoders: dict[str, Decoder] = {"torch": lm.reference, "fast": fast}
    decoders = {name: decoders[name] for name in options.decoders}
    print(f"torch in {lm.model.dtype}, {torch.get_num_threads()} threads")
    if "speed" in options.parts:
        speed(lm, steers["sentiment"], decoders, options)
    if "fidelity" in options.parts:
        fidelity(lm, fast)
    if "company" in options.parts:
        for name, decoder in decoders.items():
            company(lm, steers["sentiment"], name, decoder, options.texts)


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
        if len(decoders) == 2:
            ratios = [b / a for a, b in zip(rates["torch"], rates["fast"], strict=True)]
            spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
            ratio = f"  fast / torch {statistics.median(ratios):.2f} ({spread})"
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


def fidelity(lm: LanguageModel, fast: GraphDecoder) -> None:
    """Print what the probe at load sees."""
    print("probe at load:", measure(lm, fast))


def company(lm: LanguageModel, steer: Steer, name: str, decoder: Decoder, n_texts: int) -> None:
    """Print how many of some texts differ in company that comes and goes."""
    lm.decoder = decoder
    n_tokens = 40

    def rows() -> list[LiveRow]:
        made = [row_of(i, steer, n_tokens) for i in range(n_texts)]
        for i, row in enumerate(made):
            row.ids = lm.encode(f"{PROMPTS[i % len(PROMPTS)]} {i}")[0]
        return made

    alone = [tokens for row in rows() for tokens in _write(lm, [row], 1)]
    crowd = _write(lm, rows(), 8)
    n_differ = sum(a != b for a, b in zip(alone, crowd, strict=True))
    print(f"{name}: {n_differ} of {n_texts} texts differ in company", flush=True)


def _write(lm: LanguageModel, rows: list[LiveRow], most: int) -> list[list[int]]:
    """Return the rows' tokens, with up to so many rows at once, which begin at random."""
    dice = random.Random(0)
    waiting, texts, batch = list(rows), {row: list[int]() for row in rows}, Batch(lm)
    while waiting or batch.rows:
        while waiting and len(batch.rows) < dice.randint(1, most):
            batch.join([waiting.pop(0)])
        for row, token in batch.step().items():
            texts[row].append(getattr(token, "id", -1))
    return [texts[row] for row in rows]


if __name__ == "__main__":
    main()
