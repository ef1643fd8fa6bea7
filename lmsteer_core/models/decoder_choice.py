"""Which decoder writes here: the model itself, or its graph where that is faster and faithful."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from lmsteer_core.errors import ModelError, first_line
from lmsteer_core.files import replace_file
from lmsteer_core.models.decoder import Decoder, padded
from lmsteer_core.models.language_model import LanguageModel

MOST_DIVERGENCE = 0.01
"""Nats that the graph's next-word distributions may diverge from the model's, in the mean."""

LEAST_GAIN = 1.2
"""Times as many steps a second that the graph must take."""

_MOST_PARAMETERS = 2e9
"""Of a model that is converted: its weights are in memory in float32 meanwhile."""

_TEXTS = (
    "The library closes at eight on weekdays, and on Saturdays it",
    "Water boils at a lower temperature in the mountains because",
    "She put the keys on the table, took off her coat and",
    "The second chapter describes how the bridge was built and",
    "Most of the visitors came by train, although the road had been",
    "In the garden behind the school there are three apple trees and",
    "The meeting was moved to Thursday so that everybody could",
    "To make the dough, mix the flour with a little salt and",
)


@dataclass(frozen=True)
class Measured:
    """What was measured of a graph here.

    Attributes:
        divergence: KL(model ‖ graph) of the next word, mean over contexts, nats.
        gain: Steps a second of two rows, the graph's ÷ the model's.
    """

    divergence: float
    gain: float


def choose(lm: LanguageModel, run: Callable[[Callable[[], Any]], Any] = lambda f: f()) -> str:
    """Let the fastest faithful decoder write the texts that begin from now on.

    Args:
        lm: The model; its `decoder` is set.
        run: Runs what computes on the model, as `Engine.call` does.

    Returns:
        One sentence: what writes, and why.
    """
    try:
        measured = _accelerate(lm, run)
    except ModelError as error:
        return f"torch writes the texts: {first_line(error)}."
    except Exception as error:  # whatever OpenVINO raises: the model itself writes on
        return f"torch writes the texts: OpenVINO cannot run this model ({first_line(error)})."
    return (
        f"OpenVINO writes the texts, {measured.gain:.1f} times as fast as torch here "
        f"(KL {measured.divergence:.4f} nats)."
    )


def _accelerate(lm: LanguageModel, run: Callable[[Callable[[], Any]], Any]) -> Measured:
    """Set the decoder, or raise ModelError with what is in the way."""
    if lm.device.type != "cpu":
        raise ModelError(f"the model is on {lm.device.type}")
    if find_spec("openvino") is None:
        raise ModelError(
            'OpenVINO, which may be faster, is not installed: pip install "lmsteer-workbench[fast]"'
        )
    if not lm.probed.shares_batches:
        raise ModelError("this model reads its rows one by one")
    if lm.model.num_parameters() > _MOST_PARAMETERS:
        raise ModelError("this model is too large to be made a graph here")
    from lmsteer_core.models.graph import graph_folder
    from lmsteer_core.models.graph_decoder import GraphDecoder

    folder = graph_folder(lm.model)
    fast = GraphDecoder(folder)
    memo = _memo(folder)
    measured = _known(memo)
    if measured is None:
        measured = run(lambda: measure(lm, fast))
        with suppress(OSError):  # a read-only folder costs a measurement at every start
            replace_file(memo, json.dumps(asdict(measured)))
    if measured.divergence > MOST_DIVERGENCE:
        raise ModelError(
            f"the graph's next words diverge by {measured.divergence:.3f} nats from the model's"
        )
    if measured.gain < LEAST_GAIN:
        raise ModelError(f"the graph is only {measured.gain:.1f} times as fast here")
    lm.decoder = fast
    return measured


def _memo(folder: Path) -> Path:
    """Return where the figures of this kind of CPU are kept."""
    capability = torch.backends.cpu.get_cpu_capability()
    return folder / f"{capability}-{torch.get_num_threads()}.json"


def _known(memo: Path) -> Measured | None:
    try:
        return Measured(**json.loads(memo.read_text()))
    except (OSError, ValueError, TypeError):
        return None


@torch.inference_mode()
def measure(lm: LanguageModel, fast: Decoder) -> Measured:
    """Return how another decoder's next words and speed compare with the model's own."""
    texts = [lm.prefix_ids + lm.token_ids(text) for text in _TEXTS]
    contexts = [text[:n] for text in texts for n in (len(text) // 3, 2 * len(text) // 3, len(text))]
    reference_log_p, log_p = (
        lm.finish(_read(decoder, contexts).product[:, : lm.vocab_size]).log_softmax(dim=-1)
        for decoder in (lm.reference, fast)
    )
    divergence = float((reference_log_p.exp() * (reference_log_p - log_p)).sum(dim=-1).mean())
    seconds = [_step_seconds(decoder, texts[:2]) for decoder in (lm.reference, fast)]
    return Measured(divergence, seconds[0] / seconds[1])


def _read(decoder: Decoder, texts: Sequence[Sequence[int]]) -> Any:
    return decoder.read(*padded(texts, torch.device("cpu")), None)


def _step_seconds(decoder: Decoder, texts: Sequence[Sequence[int]]) -> float:
    """Return the best of a few steps."""
    length = min(map(len, texts))
    cache = _read(decoder, [text[:length] for text in texts]).cache
    best = float("inf")
    for n in range(1, 8):
        start = time.perf_counter()
        ids, mask = torch.ones(len(texts), 1).long(), torch.ones(len(texts), length + n).long()
        cache = decoder.read(ids, mask, cache).cache
        best = min(best, time.perf_counter() - start)
    return best
