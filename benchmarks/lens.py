"""What the lens saves by reading the backbone once, on the embedded model.

    python -m benchmarks.lens [--only nextword words highlight styles] [--tokens N] [--points N]
        [--repeats N]

nextword    exact curves of the whole vocabulary over 61 ε values against 61 steered forward passes.
words       what the Words tab computes: the first steer's view, and another steer's after it.
highlight   a text of N tokens weighed by all steers on the whole ε grid against a steered forward
            pass per steer and grid point, as the official analysis batches them. The reference is
            timed at a few points, in turns with ours, and extrapolated to all: every point is the
            same work.
styles      the same text read by all steers against ordinary text, beside reading it and weighing
            it by the first steer.

Both sides run in turn in one process; medians and ranges of the ratio.
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial

import torch

from benchmarks.measure import seconds
from lmsteer_core import LanguageModel, Steer, Steering, load_model
from lmsteer_core.analysis.evidence import POSTERIOR_GRID, profile
from lmsteer_core.analysis.next_word import EPSILON_GRID, next_words
from lmsteer_core.analysis.reading import read_text
from lmsteer_core.analysis.style_reading import read_styles
from lmsteer_core.analysis.word_map import word_map
from lmsteer_core.workbench import Workbench

PROMPT = "The letter on the kitchen table said that"
SENTENCES = (
    "The hotel stands on a hill above the harbour, and our room looked out over the boats. ",
    "Breakfast was cold and the coffee tasted of nothing, but the waiter was kind and quick. ",
    "On the second day it rained, so we read by the window and wrote letters to our friends. ",
    "I would not pay that much again for a bed that squeaks, although the garden is lovely. ",
)
PARTS = ("nextword", "words", "highlight", "styles")


def main() -> None:
    """Print each ratio with its target."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--tokens", type=int, default=1000, help="of the highlighted text")
    parser.add_argument(
        "--points", type=int, default=3, help="grid points at which the reference is timed"
    )
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    lm = load_model("embedded", dtype="float32")
    workbench = Workbench(lm)
    steers = [workbench.steers[name] for name in workbench.names]
    if "nextword" in options.only:
        nextword(lm, steers[0], options.repeats)
    if "words" in options.only:
        words(lm, steers)
    if "highlight" in options.only:
        highlight(lm, steers[:1], options.tokens, options.points, options.repeats)
        highlight(lm, steers, options.tokens, options.points, 1)
    if "styles" in options.only:
        styles(lm, steers, options.tokens)


def nextword(lm: LanguageModel, steer: Steer, repeats: int) -> None:
    """Print 61 forward passes / one curve."""
    ids = torch.tensor([lm.encode(PROMPT)[0]])

    def passes() -> None:
        for epsilon in EPSILON_GRID:
            forward(lm, steer, epsilon, ids)

    def curves() -> None:
        next_words(lm, PROMPT, steer)

    curves()
    forward(lm, steer, 1.0, ids)
    pairs = [(seconds(passes), seconds(curves)) for _ in range(repeats)]
    report(f"next word: {len(EPSILON_GRID)} forward passes / curves", pairs, 20)


def words(lm: LanguageModel, steers: list[Steer]) -> None:
    """Print the seconds of a first view, and of switching to every other steer."""

    def view(steer: Steer) -> None:
        word_map(lm, steer)

    first = seconds(partial(view, steers[0]))
    switched = [seconds(partial(view, steer)) for steer in steers[1:] or steers]
    print(
        f"words: the first view {first:.2f} s (it reads the vocabulary), another steer "
        f"{statistics.median(switched):.2f} s ({min(switched):.2f}–{max(switched):.2f})"
    )


def highlight(
    lm: LanguageModel, steers: list[Steer], n_tokens: int, n_points: int, repeats: int
) -> None:
    """Print passes per steer and grid point / one profile."""
    text = "".join(SENTENCES) * (n_tokens // 60 + 1)
    ids = lm.tokenizer(text, add_special_tokens=False)["input_ids"][:n_tokens]
    text = str(lm.tokenizer.decode(ids))
    inputs = torch.tensor([ids])
    step = max(1, len(POSTERIOR_GRID) // n_points)
    timed = POSTERIOR_GRID[step // 2 :: step][:n_points]

    def ours() -> None:
        profile(lm, read_text(lm, text), steers)

    def some() -> None:
        for epsilon in timed:
            forward(lm, steers[0], epsilon, inputs)

    short = str(lm.tokenizer.decode(ids[:16]))
    profile(lm, read_text(lm, short), steers)
    forward(lm, steers[0], 1.0, inputs)
    all_points = len(POSTERIOR_GRID) * len(steers)
    pairs = [(seconds(some) * all_points / len(timed), seconds(ours)) for _ in range(repeats)]
    title = (
        f"highlight: {n_tokens} tokens, {len(steers)} steers × "
        f"{len(POSTERIOR_GRID)} ε, passes / profile"
    )
    report(title, pairs, 10)


def styles(lm: LanguageModel, steers: list[Steer], n_tokens: int) -> None:
    """Print the seconds of each part of a view of the Highlight tab."""
    text = "".join(SENTENCES) * (n_tokens // 60 + 1)
    text = str(lm.tokenizer.decode(lm.token_ids(text)[:n_tokens]))
    ordinary = seconds(lambda: read_styles(lm, read_text(lm, "A word."), steers))
    read = read_text(lm, text)
    print(
        f"styles: {n_tokens} tokens, {len(steers)} steers: "
        f"{seconds(lambda: read_styles(lm, read, steers)):.3f} s, ordinary text once "
        f"{ordinary:.2f} s; reading {seconds(lambda: read_text(lm, text)):.2f} s, one steer's "
        f"evidence and posterior {seconds(lambda: profile(lm, read, steers[:1])):.2f} s"
    )


def forward(lm: LanguageModel, steer: Steer, epsilon: float, ids: torch.Tensor) -> None:
    """Score one steered text, or its next position, as a caller without the lens would."""
    with Steering(lm.model, [steer], [[epsilon]]), torch.inference_mode():
        # Only the last position's logits are asked for where only they are used.
        keep = 1 if ids.shape[1] < 32 else 0
        logits = lm.model(ids, logits_to_keep=keep, use_cache=False).logits[0]
        if keep:
            logits.softmax(-1)
        else:
            logits[:-1].log_softmax(-1).gather(1, ids[0, 1:, None])


def report(title: str, pairs: list[tuple[float, float]], target: float) -> None:
    """Print the reference's time over ours."""
    ratios = [reference / ours for reference, ours in pairs]
    print(
        f"{title}: {statistics.median(ratios):.1f} × (target ≥ {target:g}; {min(ratios):.1f}–"
        f"{max(ratios):.1f}; ours {statistics.median(ours for _, ours in pairs):.2f} s)"
    )


if __name__ == "__main__":
    main()
