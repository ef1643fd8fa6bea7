"""Sample text for many rows in one batch, each row with its own ε, all with the same dice."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from lmsteer_core.errors import OUT_OF_MEMORY, InputError, SteerError, is_out_of_memory
from lmsteer_core.generation.batch import Batch, check_drawn
from lmsteer_core.generation.live_row import LiveRow, Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer
from lmsteer_core.text import check_text

MAX_ROWS = 256
"""Rows of one batch; a larger request is split by its caller."""


@dataclass(frozen=True)
class Row:
    """One line of a batch: a prompt and its own ε per steer name (absent means 0).

    Where `prompt_ids` are given they are the prompt, read as they are.
    """

    prompt: str
    epsilons: Mapping[str, float] = field(default_factory=dict)
    seed_offset: int = 0
    prompt_ids: tuple[int, ...] = ()


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
    return _stream(
        lm, live_rows(lm, rows, steers, sampling, logprobs=logprobs, n_at_once=len(rows))
    )


def live_rows(
    lm: LanguageModel,
    rows: Sequence[Row],
    steers: Mapping[str, Steer],
    sampling: Sampling,
    *,
    logprobs: bool = True,
    n_alternatives: int = 0,
    n_at_once: int = 1,
) -> list[LiveRow]:
    """Return rows as the decoder takes them; arguments and errors as for `stream`.

    `n_alternatives` are the likeliest tokens that every token comes with. `n_at_once` are the rows
    that share the memory for prompts; the engine lets rows wait instead.
    """
    epsilons = _check_rows(rows, steers)
    reserve = {"reserve": sampling.max_new_tokens, "n_rows": n_at_once}
    texts = {row.prompt for row in rows if not row.prompt_ids}
    ids = {text: lm.encode(text, **reserve)[0] for text in texts}
    return [
        LiveRow(
            list(row.prompt_ids) or ids[row.prompt],
            row_epsilons,
            steers,
            sampling,
            row.seed_offset,
            logprobs,
            n_alternatives,
        )
        for row, row_epsilons in zip(rows, epsilons, strict=True)
    ]


def _stream(lm: LanguageModel, rows: list[LiveRow]) -> Generator[list[Token | None], None, None]:
    batch = Batch(lm)
    batch.join(rows)
    try:
        while batch.rows:
            tokens = check_drawn(batch.step())
            if any(token is not None for token in tokens.values()):
                yield [tokens.get(row) for row in rows]
    except Exception as error:
        if is_out_of_memory(error):
            raise InputError(OUT_OF_MEMORY) from error
        raise


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


def check_number_of_rows(n_rows: int) -> None:
    """Raise InputError unless so many texts can be written at once."""
    if not 1 <= n_rows <= MAX_ROWS:
        raise InputError(f"Between 1 and {MAX_ROWS} texts can be generated at once, not {n_rows}.")


def _check_rows(rows: Sequence[Row], steers: Mapping[str, Steer]) -> list[dict[str, float]]:
    """Return every row's ε.

    Raise InputError on a bad row or number of rows, SteerError on a bad name.
    """
    check_number_of_rows(len(rows))
    for row in rows:
        if not row.prompt_ids:
            check_text(row.prompt, "prompt")
        if not isinstance(row.epsilons, Mapping):
            raise InputError(
                f"ε must be given by steer name, as in {{'sentiment': 2.0}}, "
                f"not {row.epsilons!r:.40}."
            )
    for name in sorted({str(name) for row in rows for name in row.epsilons} - steers.keys()):
        known = ", ".join(sorted(steers)) or "none"
        raise SteerError(f"There is no steer named '{name}' for this model; available: {known}.")
    return [{name: check_epsilon(e, name) for name, e in row.epsilons.items()} for row in rows]
