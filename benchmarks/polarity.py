"""Which pole is a text of? Read from likelihoods alone, for every steer given.

    python -m benchmarks.polarity --data DATA --style sentiment STEER [STEER …] [--limit 500]

STEER is a steer's folder. A text's evidence is Σ_t log P₊ε(x_t) − log P₋ε(x_t) at ε = 1; its sign
is compared with the sign of the label on DATA/STYLE/dev.jsonl, texts labelled 0 left out. Three
thresholds: 0, which uses no label; the median of all evidence, which uses none but supposes that
half the texts are of either pole; the best single one, chosen on these very texts and so an upper
bound.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmsteer_core import LanguageModel, Steer, load_model
from lmsteer_core.models.batched import hidden_states, tokens_per_chunk
from lmsteer_core.steers.steer import check_fingerprint, steer_hidden
from lmsteer_core.training.labelled_file import read_labelled

EPSILON = 1.0
MAX_TOKENS = 256


def main() -> None:
    """Print one row per steer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steers", nargs="+", type=Path, metavar="STEER")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--style", required=True, help="folder of DATA with dev.jsonl")
    parser.add_argument("--limit", type=int, default=500, help="most texts to read")
    parser.add_argument("--model", default="embedded")
    options = parser.parse_args()
    found = read_labelled(options.data / options.style / "dev.jsonl")
    graded = [
        (text, label > 0) for text, label in zip(found.texts, found.labels, strict=True) if label
    ]
    # Spread over the file, which may be sorted by label.
    picked = np.linspace(0, len(graded) - 1, min(options.limit, len(graded))).astype(int)
    texts, positive = zip(*[graded[i] for i in picked], strict=True)
    lm = load_model(options.model, dtype="bfloat16")
    steers = [Steer.load(folder) for folder in options.steers]
    truth = np.array(positive)
    share = max(truth.mean(), 1 - truth.mean())
    print(f"{options.style}: {len(texts)} texts, the larger class is {share:.3f}\n")
    print("| steer | threshold 0 | median | best threshold | standard error |")
    print("|---|---|---|---|---|")
    for folder, scores in zip(options.steers, evidence(lm, steers, texts), strict=True):
        zero, centred, best = accuracies(scores, truth)
        error = math.sqrt(centred * (1 - centred) / len(texts))
        print(
            f"| {folder.name} | {zero:.3f} | {centred:.3f} | {best:.3f} | {error:.3f} |", flush=True
        )


@torch.inference_mode()
def evidence(
    lm: LanguageModel, steers: Sequence[Steer], texts: Sequence[str]
) -> NDArray[np.float64]:
    """Return log P₊ε − log P₋ε of each text under each steer, (n_steers, n_texts), in nats."""
    for steer in steers:
        check_fingerprint(steer, lm.output_embedding, lm.model_id)
    bare = [lm.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    token_ids = [(lm.start_ids + ids)[:MAX_TOKENS] for ids in bare]
    hidden = torch.cat([h[:-1] for h in hidden_states(lm, token_ids)])
    targets = torch.tensor([i for ids in token_ids for i in ids[1:]], device=lm.device)
    factors = [
        (steer.left.float().to(lm.device), steer.right.float().to(lm.device)) for steer in steers
    ]
    one = torch.ones((), device=lm.device)
    dtype = lm.output_embedding.dtype
    parts = []
    for h, x in zip(*(t.split(tokens_per_chunk(lm)) for t in (hidden, targets)), strict=True):
        # One base table for both signs and all steers: whatever it was rounded by cancels.
        base = lm.unembed(h.to(dtype)).float()
        moves = ((steer_hidden(h, *pair, one) - h).to(dtype) for pair in factors)
        parts.append(
            torch.stack(
                [_gap(lm, base, (move @ lm.output_embedding.T).float(), x) for move in moves]
            )
        )
    per_token = torch.cat(parts, dim=1).cpu()
    per_text = per_token.split([len(ids) - 1 for ids in token_ids], dim=1)
    return np.stack([tokens.sum(dim=1).double().numpy() for tokens in per_text], axis=1)


def accuracies(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return the accuracy with threshold 0, the scores' median, and the best single threshold."""
    by_score = truth[np.argsort(scores)]
    # Below the threshold counts as −: right are the − texts below it and the + texts above it.
    right = np.concatenate([[0], np.cumsum(~by_score)]) + np.concatenate(
        [np.cumsum(by_score[::-1])[::-1], [0]]
    )
    at = [
        float(((scores > threshold) == truth).mean())
        for threshold in (0.0, float(np.median(scores)))
    ]
    return at[0], at[1], float(right.max() / len(truth))


def _gap(lm: LanguageModel, base: Tensor, moved: Tensor, next_ids: Tensor) -> Tensor:
    """Return log P₊ε − log P₋ε of each token from E h and E Wᵀ h, (n_tokens, vocab_size) each."""
    plus, minus = (lm.finish(torch.add(base, moved, alpha=e)) for e in (EPSILON, -EPSILON))
    chosen = [z.gather(1, next_ids[:, None])[:, 0] - z.logsumexp(dim=1) for z in (plus, minus)]
    return chosen[0] - chosen[1]


if __name__ == "__main__":
    main()
