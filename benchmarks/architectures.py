"""Every causal language model that transformers has, tiny and random: what works, what is refused.

    python -m benchmarks.architectures [MODEL_TYPE …] [--write docs/models.md]

Each class is built from its config and taken through what the product does with a model. A figure
is compared with the model's own plain forward pass over the same tokens, steered ones with a copy
whose output embedding is moved explicitly.
"""

from __future__ import annotations

import argparse
import copy
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as transformers_logging

from benchmarks.tiny_models import model_types, tiny_model
from lmsteer_core import LanguageModel, LMSteerError, Sampling, Steer, SteerCard, Steering
from lmsteer_core.errors import first_line
from lmsteer_core.generation import batch, row_group
from lmsteer_core.generation.batch import Batch
from lmsteer_core.generation.live_row import LiveRow, Token
from lmsteer_core.models import language_model
from lmsteer_core.progress import finished

TOLERANCE = 1e-3
"""Of logits relative to their norm, of log-probabilities in nats."""

EPSILON = 2.0

_OUTCOMES = ("works", "refused", "fails", "not built")
_MARK = "<!-- python -m benchmarks.architectures --write docs/models.md -->"
_SECONDS = 120
_PROMPTS = ("The kitchen", "The kitchen table was set", "It")
_TEXT = "The kitchen table was set before noon"


@dataclass(frozen=True)
class Row:
    """A line of the table: a class, its model types, and what came of it."""

    class_name: str
    model_type: str
    outcome: str
    detail: str = ""


def tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level tokenizer of fewer tokens than the tiny models have."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.train_from_iterator([_TEXT], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


class Examination:
    """What the product does with one model, each a check that returns its largest error."""

    def __init__(self, model: PreTrainedModel) -> None:
        """Load the model; LMSteerError where it is refused."""
        self.model = model
        self.lm = LanguageModel(model, tokenizer(), "tiny")
        self.lm.__dict__["end_ids"] = frozenset()  # texts of one length, to compare
        self.ids, _ = self.lm.encode(_TEXT)
        self.steer = _steer(self.lm)
        self.moved = _moved(model, self.steer)

    def checks(self) -> Iterator[tuple[str, Callable[[], float]]]:
        """Yield every check by its name."""
        yield "next word", self._next_word
        yield "steered logits", self._steered_logits
        yield "hidden states of a batch", self._batch_states
        yield "hidden states behind a prefix", self._prefix_states
        yield "hidden states in steps", self._steps
        yield "a text alone", lambda: self._texts(_PROMPTS[:1])
        yield "texts of one prompt", lambda: self._texts(_PROMPTS[1:2] * 3)
        yield "texts of several prompts", lambda: self._texts(_PROMPTS)
        yield "texts that come later", lambda: self._texts(_PROMPTS[:1], _PROMPTS[1:])
        yield "a prompt in parts", lambda: self._with(batch, "_PROMPT_TOKENS_PER_STEP", 5)
        yield "a shared prompt", lambda: self._with(row_group, "_WORTH_SHARING", 4)
        yield "a full context", self._full_context

    def _plain(self, ids: Sequence[int], model: PreTrainedModel | None = None) -> Tensor:
        """Return the logits of a plain pass, (n_tokens, n_logits)."""
        logits: Tensor = (model or self.model)(torch.tensor([ids]), use_cache=False).logits
        return logits[0].float()

    def _next_word(self) -> float:
        (hidden,) = self.lm.hidden_states([self.ids])
        return _error(self.lm.finish(self.lm.unembed(hidden)), self._plain(self.ids))

    def _steered_logits(self) -> float:
        with Steering(self.model, [self.steer], [[EPSILON]]):
            steered = self._plain(self.ids)
        return _error(steered, self._plain(self.ids, self.moved))

    def _batch_states(self) -> float:
        return self._prefix_states(())

    def _prefix_states(self, prefix: Sequence[int] = (20, 21)) -> float:
        texts = [[5, 6, 7, 8], [9, 10]]
        together = self.lm.hidden_states(texts, prefix)
        alone = [self.lm.hidden_states([[*prefix, *text]])[0][len(prefix) :] for text in texts]
        return max(map(_error, together, alone))

    def _steps(self) -> float:
        whole = finished(self.lm.reading(self.ids))
        n_tokens = language_model._TOKENS_PER_STEP
        language_model._TOKENS_PER_STEP = 5
        try:
            return _error(finished(self.lm.reading(self.ids)), whole)
        finally:
            language_model._TOKENS_PER_STEP = n_tokens

    def _texts(self, prompts: Sequence[str], later: Sequence[str] = ()) -> float:
        """Write texts of unequal length, some joined later; compare every token's figures."""
        rows = [self._row(prompt, i) for i, prompt in enumerate([*prompts, *later])]
        tokens: dict[LiveRow, list[Token]] = {row: [] for row in rows}
        writing = Batch(self.lm)
        writing.join(rows[: len(prompts)])
        n_steps = 0
        while writing.rows:
            for row, token in writing.step().items():
                if isinstance(token, Exception):
                    raise token
                if token:
                    tokens[row].append(token)
            n_steps += 1
            if n_steps == 2 and later:
                writing.join(rows[len(prompts) :])
        return max(self._text_error(row, tokens[row]) for row in rows)

    def _row(self, prompt: str, index: int) -> LiveRow:
        epsilons = {"style": EPSILON if index < 2 else 0.0}
        sampling = Sampling(temperature=0, max_new_tokens=(6, 3, 5)[index % 3])
        return LiveRow(self.lm.encode(prompt)[0], epsilons, {"style": self.steer}, sampling)

    def _text_error(self, row: LiveRow, tokens: Sequence[Token]) -> float:
        assert len(tokens) == row.sampling.max_new_tokens
        ids, n_prompt = [*row.ids, *(token.id for token in tokens)], len(row.ids)
        steered = self.moved if any(row.epsilons.values()) else self.model
        base, moved = (
            self._plain(ids, model).log_softmax(dim=-1) for model in (self.model, steered)
        )
        errors = [
            abs(float(log_p[at, token.id]) - found)
            for at, token in enumerate(tokens, start=n_prompt - 1)
            for log_p, found in ((base, token.base_logprob), (moved, token.logprob))
        ]
        return max(errors)

    def _with(self, module: Any, name: str, value: int) -> float:
        """Return the error of three texts of one prompt under another setting of a module."""
        kept = getattr(module, name)
        setattr(module, name, value)
        try:
            return self._texts(_PROMPTS[1:2] * 3)
        finally:
            setattr(module, name, kept)

    def _full_context(self) -> float:
        n_tokens = min(self.lm.context_length, 256)
        return float(self._plain([7] * n_tokens).isnan().any())


@torch.inference_mode()
def examine(model_type: str, **settings: Any) -> Row:
    """Return the line of one model type."""
    variant = "".join(f", {name}" for name in settings)
    name = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[model_type] + variant

    def row(outcome: str, detail: str = "") -> Row:
        print(f"{model_type}: {outcome} {detail}", file=sys.stderr, flush=True)
        return Row(name, model_type, outcome, detail)

    try:
        model = tiny_model(model_type, **settings)
        name = type(model).__name__ + variant
        model(torch.tensor([[5, 6, 7, 8]]))
    except Exception as error:
        return row("not built", first_line(error.__cause__ or error))
    try:
        examination = Examination(model)
    except LMSteerError as error:
        return row("refused", str(error).removeprefix("'tiny' ").partition(",")[0].rstrip("."))
    for what, check in examination.checks():
        try:
            size = check()
        except Exception as error:
            return row("fails", f"{what}: {type(error).__name__}, {first_line(error)}")
        if not size < TOLERANCE:
            return row("fails", f"{what}: off by {size:.1e}")
    probed = examination.lm.probed
    ways = {"rows one by one": probed.shares_batches, "without a cache": probed.reads_on}
    return row("works", ", ".join(way for way, is_needless in ways.items() if not is_needless))


def main() -> None:
    """Examine the model types and print their table, or write it into a page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model_types", nargs="*")
    parser.add_argument("--write", type=Path, help="the page whose table is replaced")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    transformers_logging.set_verbosity_error()
    signal.signal(signal.SIGALRM, _give_up)
    rows = []
    for model_type in arguments.model_types or model_types():
        signal.alarm(_SECONDS)  # the next one winds it up anew
        rows.append(examine(model_type))
        if rows[-1].outcome == "refused" and _may_be_decoder(model_type):
            decoder = examine(model_type, is_decoder=True)
            rows += [decoder] if decoder.outcome != "refused" else []
    signal.alarm(0)
    page = "\n".join(table(rows)) + "\n"
    if arguments.write:
        head = arguments.write.read_text(encoding="utf-8").partition(_MARK)[0]
        arguments.write.write_text(f"{head}{_MARK}\n\n{page}", encoding="utf-8")
    else:
        print(page)


def table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the table, one a class and outcome, after a sentence that counts them."""
    together: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        together.setdefault((row.outcome, row.class_name, row.detail), []).append(row.model_type)
    counts = Counter(outcome for outcome, *_ in together)
    order = sorted(together.items(), key=lambda item: (_OUTCOMES.index(item[0][0]), item[0]))
    versions = (
        f"transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}"
    )
    return [
        f"{versions}: " + ", ".join(f"{counts[o]} {o}" for o in _OUTCOMES if counts[o]) + ".",
        "",
        "| class | model types | here | |",
        "|---|---|---|---|",
        *(
            f"| {name} | {', '.join(types)} | {outcome} | {detail} |"
            for (outcome, name, detail), types in order
        ),
    ]


def _may_be_decoder(model_type: str) -> bool:
    """Return whether a model type is an encoder unless its config says otherwise."""
    return "is_decoder" in CONFIG_MAPPING[model_type].__dataclass_fields__


def _steer(lm: LanguageModel) -> Steer:
    """Return a random steer of rank 4."""
    noise = torch.Generator().manual_seed(0)
    left, right = (torch.linalg.qr(torch.randn(lm.d_model, 4, generator=noise)).Q for _ in range(2))
    card = SteerCard("style", "cold", "warm", lm.model_id, rank=4)
    return Steer(left, 0.3 * right.T.contiguous(), lm.fingerprint_rows, card)


def _moved(model: PreTrainedModel, steer: Steer) -> PreTrainedModel:
    """Return a copy whose output embedding has every row e moved to (I + ε W) e."""
    moved = copy.deepcopy(model)
    head: Any = moved.get_output_embeddings()
    rows = head.weight @ (torch.eye(steer.d_model) + EPSILON * steer.matrix()).T
    head.weight = nn.Parameter(rows, requires_grad=False)
    return moved


def _error(found: Tensor, expected: Tensor) -> float:
    """Return ‖found − expected‖ / ‖expected‖."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def _give_up(*_: object) -> None:
    raise TimeoutError(f"longer than {_SECONDS} s")


if __name__ == "__main__":
    main()
