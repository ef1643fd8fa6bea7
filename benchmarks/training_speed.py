"""How long making a steer takes, and how much memory.

    python -m benchmarks.training_speed [--data DATA] [--only descriptions labelled memory]

descriptions   `train` from two descriptions against 200 tokens of plain transformers generation, on
               the model as the app loads it; with the model's neutral statistics in the cache, and
               without. Both sides take turns; medians and ranges. The steer's own texts are
               written by the fastest faithful decoder unless --decoder torch.
labelled       `train` from all of DATA/sentiment/train.jsonl against 1,000 steps of the official
               recipe in fp32, extrapolated from real steps taken half before and half after.
memory         peak resident memory of a process of its own that makes one steer with an empty cache
               of statistics, per model that is installed.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.measure import seconds
from lmsteer_core import (
    Descriptions,
    LabelledText,
    LanguageModel,
    Row,
    Sampling,
    generate,
    load_model,
    train,
)
from lmsteer_core.models.catalogue import available_models
from lmsteer_core.models.decoder_choice import choose
from lmsteer_core.models.packages import EMBEDDED, GEMMA
from lmsteer_core.training.labelled_file import read_labelled
from lmsteer_core.training.official_recipe import N_STEPS, OfficialTraining

PROMPT = "The letter on the kitchen table said that"
SOURCE = Descriptions("a warm story told by the fireside", "a dry report with figures and dates")
N_TOKENS = 200
MEMORY_TARGETS_GB = {EMBEDDED: 2.5, GEMMA: 4.0}
PARTS = ("memory", "descriptions", "labelled")


def main() -> None:
    """Print each figure with its target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--data", type=Path, help="folder with sentiment/train.jsonl")
    parser.add_argument("--repeats", type=int, default=3, help="of the descriptions' pair")
    parser.add_argument(
        "--decoder", choices=["auto", "torch"], default="auto", help="writes a steer's texts"
    )
    parser.add_argument("--steps", type=int, default=30, help="official steps to take")
    parser.add_argument("--models", nargs="+", default=[EMBEDDED, GEMMA], help="for memory")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--load-only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_of:
        make_one(options.memory_of, options.load_only)
        return
    # First, while this process is small: Linux counts what a parent holds as its child's peak.
    if "memory" in options.only:
        memory(options.models)
    if "descriptions" in options.only:
        descriptions(options.repeats, options.decoder)
    if "labelled" in options.only:
        if not options.data:
            parser.error("the labelled part needs --data; or leave it out with --only.")
        labelled(options.data / "sentiment" / "train.jsonl", options.steps)


def descriptions(repeats: int, decoder: str) -> None:
    """Print train(Descriptions) / 200 tokens, with and without cached statistics."""
    lm = load_model()
    if decoder == "auto":
        print(choose(lm))
    print(f"descriptions: {lm.model_id}, {str(lm.output_embedding.dtype).removeprefix('torch.')}")
    plain(lm, 20), lm.for_batches
    times: dict[str, list[float]] = {"generate": [], "not cached": [], "cached": []}
    for _ in range(repeats):
        with empty_cache():
            times["not cached"].append(seconds(lambda: train(lm, "timed", SOURCE)))
            times["generate"].append(seconds(lambda: plain(lm, N_TOKENS)))
            times["cached"].append(seconds(lambda: train(lm, "timed", SOURCE)))
    for case, target in (("cached", " (target ≤ 1.2)"), ("not cached", "")):
        ratios = [a / b for a, b in zip(times[case], times["generate"], strict=True)]
        print(
            f"train from descriptions, statistics {case} / {N_TOKENS} tokens: "
            f"{spread(ratios)}{target}; {spread(times[case])} s against "
            f"{spread(times['generate'])} s",
            flush=True,
        )


def labelled(path: Path, n_steps: int) -> None:
    """Print 1,000 official steps, extrapolated, / train(LabelledText)."""
    found = read_labelled(path)
    source = LabelledText(found.texts, found.labels)
    lm = load_model(dtype="float32")
    generate(lm.for_batches, [Row(PROMPT)], {}, Sampling(max_new_tokens=4))
    # the statistics belong to the model: in the cache from here
    train(lm, "warm", SOURCE, n_prompts=2)
    texts = [lm.encode(text)[0][:256] for text in found.texts]
    texts = [ids if len(ids) > 1 else lm.start_ids + ids for ids in texts]
    official = iter(
        OfficialTraining(
            lm,
            texts,
            found.labels,
            rank=1000,
            learning_rate=1e-2,
            batch_size=32,
            scale=1e-3,
            regularization=1e-6,
            seed=0,
        )
    )
    next(official)
    steps = [seconds(lambda: next(official)) for _ in range(n_steps // 2)]
    marks = []
    start = time.perf_counter()
    train(
        lm,
        "timed",
        source,
        progress=lambda share, _: marks.append((share, time.perf_counter() - start)),
    )
    whole = time.perf_counter() - start
    steps += [seconds(lambda: next(official)) for _ in range(n_steps - len(steps))]
    solved = next(at for share, at in marks if share >= 0.8)
    # steps differ in length: their mean, not the median
    expected = N_STEPS * statistics.fmean(steps)
    print(f"labelled: {len(found.texts)} texts, {sum(map(len, texts))} tokens")
    print(
        f"{N_STEPS} official steps / train from labelled text: {expected / whole:.1f} "
        f"(target ≥ 60; {expected:.0f} s extrapolated from {len(steps)} steps of "
        f"{spread(steps)} s; {whole:.1f} s)"
    )
    print(
        f"the same up to the uncalibrated steer: {expected / solved:.1f} ({solved:.1f} s)",
        flush=True,
    )


def memory(models: list[str]) -> None:
    """Print the peak memory of making one steer, a process per model."""
    installed = {row["id"] for row in available_models()}
    for model in models:
        if model not in installed:
            print(f"memory: {model} is not installed")
            continue
        peaks = []
        for extra in (["--load-only"], []):  # the first also converts the model, if need be
            command = [
                sys.executable,
                "-m",
                "benchmarks.training_speed",
                "--memory-of",
                model,
                *extra,
            ]
            found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            peaks.append(float(found.stdout.split()[-1]))
        target = f" (target ≤ {MEMORY_TARGETS_GB[model]:g})" if model in MEMORY_TARGETS_GB else ""
        print(
            f"peak memory of training, {model}: {peaks[1]:.2f} GB{target}; loading "
            f"alone {peaks[0]:.2f} GB",
            flush=True,
        )


def make_one(model: str, load_only: bool) -> None:
    """Make one steer in this process and print its peak memory in GB."""
    lm = load_model(model)
    if not load_only:
        with empty_cache():
            train(lm, "measured", SOURCE)
    # KiB on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9)


@torch.inference_mode()
def plain(lm: LanguageModel, n_tokens: int) -> None:
    """Generate as transformers does by itself, batch 1."""
    ids = torch.tensor([lm.encode(PROMPT)[0]], device=lm.device)
    lm.model.generate(  # type: ignore[operator]
        ids,
        attention_mask=torch.ones_like(ids),
        min_new_tokens=n_tokens,
        max_new_tokens=n_tokens,
        do_sample=True,
        temperature=0.9,
        top_p=0.95,
    )


@contextmanager
def empty_cache() -> Iterator[None]:
    """Keep a model's statistics in a folder that is empty now and gone afterwards."""
    before = os.environ.get("LMSTEER_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LMSTEER_CACHE"] = folder
        try:
            yield
        finally:
            os.environ.pop("LMSTEER_CACHE")
            if before is not None:
                os.environ["LMSTEER_CACHE"] = before


def spread(values: list[float]) -> str:
    """Return median and range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    main()
