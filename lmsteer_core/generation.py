"""Sample text for many rows in one batch, each row with its own ε, all with the same dice.

Sampling is Gumbel-max: the next token is argmax(log p + g) with Gumbel noise g keyed on (seed,
absolute position). Rows that share a seed share g, so two columns differ only where steering made
them differ, and a text changes gradually as ε does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tokenizers.decoders import DecodeStream
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper

from lmsteer_core.errors import InputError, SteerError
from lmsteer_core.language_model import LanguageModel, is_out_of_memory
from lmsteer_core.steer import Steer, check_epsilon
from lmsteer_core.steering import Steering

MAX_ROWS = 256
"""Rows of one batch; a larger request is split by its caller."""


@dataclass(frozen=True)
class Sampling:
    """How to draw the next token.

    Attributes:
        temperature: 0 is greedy; 1 is the model's own distribution.
        top_p: Probability mass kept by nucleus sampling, in (0, 1].
        max_new_tokens: Tokens to add at most.
        seed: Names the dice; a row may add its own `Row.seed_offset`.
    """

    temperature: float = 0.9
    top_p: float = 0.95
    max_new_tokens: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that no sampler could follow."""
        if not 0 <= self.temperature <= 10:
            raise InputError(f"temperature must be between 0 and 10, not {self.temperature}.")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p must be above 0 and at most 1, not {self.top_p}.")
        if not 1 <= self.max_new_tokens <= 100_000:
            raise InputError(f"max new tokens must be between 1 and 100000, not {self.max_new_tokens}.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed must be between 0 and {2**32 - 1}, not {self.seed}.")


@dataclass(frozen=True)
class Row:
    """One line of a batch: a prompt and its own ε per steer name (absent means 0)."""

    prompt: str
    epsilons: Mapping[str, float] = field(default_factory=dict)
    seed_offset: int = 0


@dataclass(frozen=True)
class Token:
    """One emitted token.

    Attributes:
        id: Vocabulary index.
        text: The characters it completes; "" while a multi-token character is unfinished.
        logprob: Log-probability under the row's steered distribution, in nats, at temperature 1.
        base_logprob: The same under the unsteered model for the same context.
    """

    id: int
    text: str
    logprob: float
    base_logprob: float

    @property
    def shift(self) -> float:
        """How much steering moved this token: log p_steered − log p_base, in nats."""
        return self.logprob - self.base_logprob


@dataclass(frozen=True)
class Generated:
    """A finished row."""

    row: Row
    tokens: list[Token]

    @property
    def text(self) -> str:
        """The continuation without its prompt."""
        return "".join(token.text for token in self.tokens)


def stream(
    lm: LanguageModel,
    rows: Sequence[Row],
    steers: Mapping[str, Steer],
    sampling: Sampling,
    *,
    logprobs: bool = True,
) -> Generator[list[Token | None], None, None]:
    """Yield, step by step, each row's next token (None once the row has ended).

    The model runs in the caller's thread, a token at a time.

    Args:
        lm: The language model.
        rows: The batch, n_rows of them; prompts may differ.
        steers: Steers by the names that rows use.
        sampling: Shared by all rows.
        logprobs: Score every token under the steered and the base distribution; NaN if False.

    Raises:
        InputError: If a prompt or setting cannot be used.
        SteerError: If a row names a steer that is not there.
    """
    names = check_rows(rows, steers)
    reserve = {"reserve": sampling.max_new_tokens, "n_rows": len(rows)}
    prompts = {row.prompt: lm.encode(row.prompt, **reserve)[0] for row in rows}
    encoded = [prompts[row.prompt] for row in rows]
    steering = Steering(
        lm.model,
        [steers[name] for name in names],
        [[row.epsilons.get(name, 0.0) for name in names] for row in rows],
        keep_base=logprobs,
    )
    return _stream(lm, rows, encoded, steering, sampling)


def generate(
    lm: LanguageModel,
    rows: Sequence[Row],
    steers: Mapping[str, Steer],
    sampling: Sampling,
    *,
    logprobs: bool = True,
    on_step: Callable[[int], None] | None = None,
) -> list[Generated]:
    """Return every row's finished continuation; arguments and errors as for `stream`.

    `on_step` is told the number of tokens so far; whatever it raises stops the model.
    """
    tokens: list[list[Token]] = [[] for _ in rows]
    with closing(stream(lm, rows, steers, sampling, logprobs=logprobs)) as steps:
        for tokens in growing(steps, len(rows)):
            if on_step:
                on_step(max(map(len, tokens)))
    return [Generated(row, row_tokens) for row, row_tokens in zip(rows, tokens, strict=True)]


def growing(steps: Iterable[list[Token | None]], n_rows: int) -> Iterator[list[list[Token]]]:
    """Yield every row's tokens so far, after each step of `stream`; the same lists each time."""
    tokens: list[list[Token]] = [[] for _ in range(n_rows)]
    for step in steps:
        for row_tokens, token in zip(tokens, step, strict=True):
            if token is not None:
                row_tokens.append(token)
        yield tokens


def check_rows(rows: Sequence[Row], steers: Mapping[str, Steer]) -> list[str]:
    """Return the steer names that rows use, or raise on an unknown one or a bad ε."""
    if not 1 <= len(rows) <= MAX_ROWS:
        raise InputError(f"Between 1 and {MAX_ROWS} texts can be generated at once, not {len(rows)}.")
    names = sorted({name for row in rows for name in row.epsilons})
    for name in names:
        if name not in steers:
            known = ", ".join(sorted(steers)) or "none"
            raise SteerError(f"There is no steer named '{name}' for this model; available: {known}.")
    for row in rows:
        for name, epsilon in row.epsilons.items():
            check_epsilon(epsilon, name)
    return names


def _stream(
    lm: LanguageModel,
    rows: Sequence[Row],
    encoded: list[list[int]],
    steering: Steering,
    sampling: Sampling,
) -> Generator[list[Token | None], None, None]:
    width = max(map(len, encoded))
    pad = lm.start_ids[0] if lm.tokenizer.pad_token_id is None else lm.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(e)) + e for e in encoded], device=lm.device)
    mask = torch.tensor([[0] * (width - len(e)) + [1] * len(e) for e in encoded], device=lm.device)
    draw = LogitsProcessorList()
    if sampling.temperature > 0:
        if sampling.temperature != 1:
            draw.append(TemperatureLogitsWarper(sampling.temperature))
        if sampling.top_p < 1:
            draw.append(_Nucleus(sampling.top_p))
        draw.append(_SharedDice(sampling.seed, [r.seed_offset for r in rows], mask.sum(1).tolist()))
    decoders = [DecodeStream(skip_special_tokens=True) for _ in rows]
    ends = _end_token_ids(lm)
    alive = [True] * len(rows)

    def decode(model: Any, input_ids: Tensor, **state: Any) -> Iterator[list[list[float]]]:
        """Yield per step and row: token id, log p_steered, log p_base. `generate` prepared the state."""
        del state["logits_processor"], state["stopping_criteria"], state["generation_config"]
        for step in range(sampling.max_new_tokens):
            n_new = 1 if step and state["use_cache"] else None
            # Entered anew each step: between steps the caller may use the model, unsteered.
            with torch.inference_mode(), steering:
                inputs = model.prepare_inputs_for_generation(
                    input_ids, next_sequence_length=n_new, is_first_iteration=not step, **state
                )
                output = model(**inputs, return_dict=True)
                state = model._update_model_kwargs_for_generation(output, state)
                logits = output.logits[:, -1].float()
                chosen = draw(input_ids, logits).argmax(dim=-1)  # type: ignore[arg-type]
                figures = [chosen, *[torch.full(chosen.shape, torch.nan)] * 2]
                if steering.base_logits is not None:
                    figures[1:] = (_logprob(x, chosen) for x in (logits, steering.base_logits[:, -1]))
                fed = chosen.where(torch.tensor(alive, device=lm.device), torch.full_like(chosen, pad))
                input_ids = torch.cat([input_ids, fed[:, None]], dim=1)
                del inputs, output, logits  # a long prompt's logits are not to outlive their step
            yield torch.stack([f.double().cpu() for f in figures], dim=1).tolist()

    steps = lm.model.generate(  # type: ignore[operator]
        ids, attention_mask=mask, custom_generate=decode, max_new_tokens=sampling.max_new_tokens,
        do_sample=False, pad_token_id=pad,
    )  # fmt: skip
    try:
        for step in steps:
            emitted: list[Token | None] = []
            for i, (token_id, logprob, base) in enumerate(step):
                alive[i] = alive[i] and int(token_id) not in ends
                text = decoders[i].step(lm.tokenizer.backend_tokenizer, int(token_id)) if alive[i] else None
                emitted.append(Token(int(token_id), text or "", logprob, base) if alive[i] else None)
            if not any(alive):
                return
            yield emitted
    except Exception as error:
        if is_out_of_memory(error):
            raise InputError("Memory ran out: shorten the prompt or generate fewer texts at once.") from error
        raise


def _end_token_ids(lm: LanguageModel) -> set[int]:
    ends = lm.model.generation_config.eos_token_id
    return set() if ends is None else set(ends) if isinstance(ends, list) else {int(ends)}


class _SharedDice(LogitsProcessor):
    """Add Gumbel noise keyed on (seed, offset, absolute position) so that argmax samples."""

    def __init__(self, seed: int, offsets: Sequence[int], prompt_lengths: Sequence[int]) -> None:
        self._seed = seed
        self._keys = list(zip(offsets, prompt_lengths, strict=True))
        self._step = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002
        noise = {key: self._gumbel(key, scores.shape[-1]).to(scores) for key in set(self._keys)}
        self._step += 1
        out = torch.empty_like(scores)
        for row, key, drawn in zip(scores, self._keys, out, strict=True):
            torch.add(row, noise[key], out=drawn)
        return out

    def _gumbel(self, key: tuple[int, int], size: int) -> Tensor:
        offset, prompt_length = key
        # Drawn on the CPU by NumPy, so that every device and platform rolls the same dice.
        rng = np.random.default_rng((self._seed, offset, prompt_length + self._step))
        # −log of an exponential variate is a Gumbel variate; the floor keeps a drawn 0 finite.
        exponential = rng.standard_exponential(size, dtype=np.float32).clip(1e-30)
        return torch.from_numpy(-np.log(exponential))


class _Nucleus(LogitsProcessor):
    """Keep the smallest set of tokens whose probability reaches top-p.

    The same set as transformers' TopPLogitsWarper, found among the few tokens above a floor. Row by
    row, because one row's vocabulary fits the CPU's cache and a batch's does not: about ten times
    faster, and sorting whole rows was half of a decoding step.
    """

    _FLOOR = 1e-5

    def __init__(self, top_p: float) -> None:
        self._top_p = top_p

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002
        out = torch.empty_like(scores)
        for row, kept in zip(scores, out, strict=True):
            p = row.softmax(dim=-1)
            likely = p[p > self._FLOOR]
            mass = likely.sum()
            if mass <= self._top_p:  # a flat distribution
                likely, mass = p, p.sum()
            ascending = likely.sort().values
            n_dropped = (1 - mass + ascending.cumsum(dim=-1) <= 1 - self._top_p).sum()
            cutoff = ascending[n_dropped.clamp_max(len(ascending) - 1)]
            kept.copy_(row).masked_fill_(p < cutoff, -torch.inf)
        return out


def _logprob(logits: Tensor, tokens: Tensor) -> Tensor:
    chosen = logits.gather(1, tokens[:, None])[:, 0].float()
    return chosen - torch.stack([row.float().logsumexp(dim=0) for row in logits])
