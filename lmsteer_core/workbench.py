"""One model, its steers, many callers: what app, HTTP API and command line stand on.

Whatever computes on the model runs as a step of the engine, between two tokens of the texts that
are being written. `train` and `transfer` alone run beside it, in the caller's thread: they take
minutes, and mostly on the model's copy for batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from types import MappingProxyType
from typing import Any, Self

from torch import Tensor

from lmsteer_core.analysis.dimension_page import DimensionPage, dimension_page
from lmsteer_core.analysis.dimensions import Dimension, dimension_steer, dimensions
from lmsteer_core.analysis.evidence import Weighed, profiling
from lmsteer_core.analysis.inspection import InspectedToken, inspecting
from lmsteer_core.analysis.next_word import EPSILON_GRID, NextWords, next_words
from lmsteer_core.analysis.plane import Plane, plane, styles
from lmsteer_core.analysis.reading import ReadText, reading
from lmsteer_core.analysis.style_reading import StyleReading, read_styles
from lmsteer_core.analysis.token_scores import scoring
from lmsteer_core.analysis.word_clusters import WordClusters, clustering
from lmsteer_core.analysis.word_effects import WordEffect, splitting
from lmsteer_core.analysis.word_map import WordMap, word_map
from lmsteer_core.analysis.word_plane import (
    WordPlane,
    neighbourhood_plane,
    principal_plane,
    word_frequencies,
    word_shifts,
)
from lmsteer_core.analysis.word_space import (
    Analogy,
    Axis,
    Neighbours,
    analogy,
    axis,
    neighbours,
)
from lmsteer_core.errors import ContextError, InputError, SteerError
from lmsteer_core.exchange import archive
from lmsteer_core.exchange.checkpoint import read_official
from lmsteer_core.exchange.export import export_merged, export_peft
from lmsteer_core.generation.generate import Generated, Row, live_rows
from lmsteer_core.generation.live_row import Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.decoder import Decoder
from lmsteer_core.models.decoder_choice import choose
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.loading import load_model
from lmsteer_core.models.packages import EMBEDDED
from lmsteer_core.models.tokenizer import chat_text
from lmsteer_core.models.tokens import token_text
from lmsteer_core.progress import Progress, Steps, finished
from lmsteer_core.serving.endless_text import Drive
from lmsteer_core.serving.engine import Engine, Job, Step
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.library import discover, steer_folders
from lmsteer_core.steers.steer import Steer, bound
from lmsteer_core.text import check_text
from lmsteer_core.training.official_recipe import N_STEPS, train_official
from lmsteer_core.training.sources.labelled_text import LabelledText
from lmsteer_core.training.sources.source import Source
from lmsteer_core.training.train import calibrated, train
from lmsteer_core.transfer.embedding_map import Method
from lmsteer_core.transfer.transfer import FitReport, fit_report, transfer_steer

_NO_STEERS: Mapping[str, Steer] = MappingProxyType({})


class Workbench:
    """A language model with every steer found for it.

    Attributes:
        steers: Its steers by name; nothing that a caller does changes them.
        problems: One sentence per steer on disk that cannot be read.
    """

    def __init__(self, lm: LanguageModel) -> None:
        """Find the model's steers, a user's own before the shipped ones."""
        self._lm = lm
        steers, self.problems = discover(steer_folders(), lm.output_embedding, lm.model_id)
        self.steers: Mapping[str, Steer] = MappingProxyType(steers)
        self._engine = Engine(lm)
        self._chosen: Future[str] | None = None

    @classmethod
    def open(
        cls, model_id: str = EMBEDDED, *, device: str = "auto", dtype: str = "auto"
    ) -> Workbench:
        """Load a model and its steers; arguments and errors as for `load_model`."""
        return cls(load_model(model_id, device=device, dtype=dtype))

    def close(self) -> None:
        """Stop the engine; whoever still waits gets an error."""
        self._engine.close()

    def __enter__(self) -> Self:
        """Return the workbench, to be closed when the context is left."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop the engine, whose thread would keep the model in memory."""
        self.close()

    def accelerate(self) -> Future[str]:
        """Look in the background for a faster decoder, which writes the texts that begin then.

        Returns:
            One sentence: what writes, and why.
        """
        chosen = self._chosen = Future[str]()

        def choose_decoder() -> None:
            chosen.set_result(choose(self._lm, self._engine.call))

        Thread(target=choose_decoder, name="decoder", daemon=True).start()
        return chosen

    @property
    def decoder(self) -> Decoder:
        """What writes the texts that begin now."""
        return self._lm.decoder

    @property
    def is_accelerated(self) -> bool:
        """Whether a faster decoder than torch writes the texts that begin now."""
        return self._lm.decoder is not self._lm.reference

    def wait_for_decoder(self, seconds: float) -> None:
        """Return once the decoder is chosen that writes from then on, or after some time."""
        wait([self._chosen] if self._chosen else [], seconds)

    @contextmanager
    def replicated(
        self, model_id: str, n: int, most: int | None = None, address: str | None = None
    ) -> Iterator[None]:
        """Let replicas write all texts until the context is left.

        Arguments and errors as for `replicas.replicas`; needs Ray.
        """
        from lmsteer_core.serving.replicas import replicas

        engine = self._engine
        try:
            with replicas(self._lm, model_id, n, most, address) as self._engine:
                yield
        finally:
            self._engine = engine

    @property
    def model_id(self) -> str:
        """What a user calls the model."""
        return self._lm.model_id

    @property
    def context_length(self) -> int:
        """Most tokens the model can attend to."""
        return self._lm.context_length

    @property
    def prefix_ids(self) -> list[int]:
        """What stands before every text that is read, often nothing."""
        return self._lm.prefix_ids

    @property
    def names(self) -> list[str]:
        """Names of the steers: sentiment first as the plainest, those with a notice last."""
        return sorted(
            self.steers, key=lambda n: (bool(self.steers[n].card.notice), n != "sentiment", n)
        )

    def steer(self, name: str) -> Steer:
        """Return a steer by name.

        Raises:
            SteerError: If there is none.
        """
        check_text(name, "steer's name")
        if name in self.steers:
            return self.steers[name]
        known = ", ".join(sorted(self.steers)) or "none"
        raise SteerError(
            f"There is no steer named '{name}' for {self.model_id}; available: {known}."
        )

    def checked(self, steer: Steer) -> Steer:
        """Return a steer from elsewhere.

        Raises:
            SteerError: If it is another model's.
        """
        return bound(steer, self._lm.output_embedding, self.model_id)

    def unpacked(self, paths: Sequence[Path | str]) -> Steer:
        """Return an uploaded steer; arguments and errors as for `archive.unpack`."""
        return archive.unpack(paths, self._lm)

    def read_official(self, checkpoint: Path | str, names: Mapping[int, str] | None) -> list[Steer]:
        """Return the steers of an official checkpoint, as `checkpoint.read_official` does."""
        return read_official(checkpoint, self._lm, names)

    # Prompts

    def prompt_tokens(self, prompt: str, reserve: int) -> tuple[list[int], bool]:
        """Return the tokens of a prompt that are read, and whether its beginning is cut off.

        Arguments and errors as for `LanguageModel.encode`.
        """
        return self._lm.encode(prompt, reserve=reserve)

    def prompt_ids(self, prompt: str | Sequence[int], reserve: int) -> tuple[int, ...]:
        """Return a whole prompt's tokens; given as tokens, they are checked and returned.

        Args:
            prompt: A text, or token ids.
            reserve: Tokens to leave free in the context for what will be written.

        Raises:
            ContextError: If the prompt would have to be cut.
            InputError: If it is empty, or an id is none of the model's.
        """
        if isinstance(prompt, str):
            ids, is_cut = self._lm.encode(prompt, reserve=reserve)
        else:
            ids, is_cut = list(prompt), len(prompt) + reserve > self.context_length
            if not ids:
                raise InputError("The prompt is empty: give it a token at least.")
            if not all(0 <= token_id < self._lm.vocab_size for token_id in ids):
                raise InputError(f"Token ids must be between 0 and {self._lm.vocab_size - 1}.")
        if is_cut:
            raise ContextError(
                f"This model's maximum context length is {self.context_length} tokens, and the "
                f"prompt does not fit it beside {reserve} new tokens; shorten the prompt or ask "
                "for fewer tokens."
            )
        return tuple(ids)

    def text(self, token_ids: Sequence[int]) -> str:
        """Return what tokens say, special ones left out."""
        return str(self._lm.tokenizer.decode([*token_ids], skip_special_tokens=True))

    def token_text(self, token_id: int) -> str:
        """Return a token of the vocabulary as it would continue a text."""
        return token_text(self._lm, token_id)

    @property
    def has_chat_template(self) -> bool:
        """Whether the model was made to chat."""
        return bool(self._lm.tokenizer.chat_template)

    def chat_prompt(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return a chat in the model's own template, where the assistant is about to speak.

        Args:
            messages: Each with "role" and "content".

        Raises:
            InputError: If the model has no template, or its template refuses the messages.
        """
        if not self.has_chat_template:
            raise InputError(f"{self.model_id} has no chat template; use /v1/completions.")
        return chat_text(self._lm.tokenizer, messages)

    def chat_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return a chat's tokens, with no BOS but the template's own.

        Arguments and errors as for `chat_prompt`.
        """
        return self._lm.token_ids(self.chat_prompt(messages))

    # Writing

    def submit(
        self,
        rows: Sequence[Row],
        sampling: Sampling,
        *,
        extra: Mapping[str, Steer] = _NO_STEERS,
        logprobs: bool = True,
        n_alternatives: int = 0,
        unlock: bool = False,
    ) -> Job:
        """Put rows in line to be written, beside whatever others are writing.

        Args:
            rows: What is written in step.
            sampling: Shared by all rows.
            extra: Steers of this caller alone, by name, used next to the shared ones.
            logprobs: Score every token; else log-probabilities are NaN.
            n_alternatives: Likeliest tokens that every token comes with.
            unlock: Whether locked poles may be used.

        Raises:
            Busy: If the line is full.
            InputError: If a prompt or setting cannot be used, or a pole is locked.
            SteerError: If a row names a steer that is not there.
        """
        steers = {**self.steers, **extra}
        live = live_rows(
            self._lm, rows, steers, sampling, logprobs=logprobs, n_alternatives=n_alternatives
        )
        for row in live:
            _check_unlocked(((steers[name], e) for name, e in row.epsilons.items()), unlock)
        return self._engine.submit(live)

    def stream(
        self,
        rows: Sequence[Row],
        sampling: Sampling,
        *,
        extra: Mapping[str, Steer] = _NO_STEERS,
        is_wanted: Callable[[], bool] = lambda: True,
        unlock: bool = False,
    ) -> Iterator[Step]:
        """Yield tokens step by step as `generate.stream` does.

        Arguments as for `submit`, whose errors raise at once. A caller whose `is_wanted` turns
        False, while it waits or later, ends without an error.
        """
        return self.submit(rows, sampling, extra=extra, unlock=unlock).steps(is_wanted)

    def generate(
        self,
        rows: Sequence[Row],
        sampling: Sampling,
        *,
        extra: Mapping[str, Steer] = _NO_STEERS,
        unlock: bool = False,
    ) -> list[Generated]:
        """Return every row's finished continuation; arguments and errors as for `submit`."""
        tokens: list[list[Token]] = [[] for _ in rows]
        for step in self.stream(rows, sampling, extra=extra, unlock=unlock):
            for row_tokens, token in zip(tokens, step, strict=True):
                row_tokens.extend([] if token is None else [token])
        return [Generated(row, row_tokens) for row, row_tokens in zip(rows, tokens, strict=True)]

    def endless_text(self, prompt: str, sampling: Sampling) -> Drive:
        """Return a text without end whose ε may change; arguments and errors as for `Drive`."""
        return Drive(self._lm, self._engine, prompt, sampling)

    # Looking

    def next_words(
        self,
        prompt: str,
        steer: Steer,
        *,
        held: Sequence[tuple[Steer, float]] = (),
        at: float = 2.0,
        unlock: bool = False,
        **options: Any,
    ) -> NextWords:
        """Return `next_word.next_words`; a long prompt is read in several steps.

        Without `unlock` the usual grid and rankings end at a locked pole, and any other ε that
        leads to one is refused.

        Raises:
            InputError: As `next_word.next_words`, or if a pole is locked.
            SteerError: If a steer is another model's.
        """
        if steer.card.is_locked and not unlock:
            options.setdefault("epsilons", [e for e in EPSILON_GRID if e >= 0])
            options.setdefault("ranked", [0.0, abs(check_epsilon(at, steer.name))])
        epsilons = (*options.get("epsilons", ()), *(options.get("ranked") or ()))
        _check_unlocked([*held, *((steer, epsilon) for epsilon in epsilons)], unlock)
        self._read_prompt(prompt)
        return self._engine.call(
            lambda: next_words(self._lm, prompt, steer, held=held, at=at, **options)
        )

    def plane(
        self, prompt: str, steer_a: Steer, steer_b: Steer, word: str, **options: Any
    ) -> Plane:
        """Return `plane.plane`; a long prompt is read in several steps."""
        self._read_prompt(prompt)
        return self._engine.call(lambda: plane(self._lm, prompt, steer_a, steer_b, word, **options))

    def styles(
        self, prompt: str, texts: Sequence[Sequence[Token]], steers: Sequence[Steer]
    ) -> list[list[float]]:
        """Return `plane.styles`."""
        return self._engine.call(lambda: styles(self._lm, prompt, texts, steers))

    def read(self, text: str) -> Steps[ReadText]:
        """Do what `reading.read_text` does, a window at a time."""
        return self._engine.work(reading(self._lm, text))

    def profile(self, read: ReadText, steers: Sequence[Steer]) -> Steps[list[Weighed]]:
        """Do what `evidence.profile` does, some tokens at a time."""
        return self._engine.work(profiling(self._lm, read, steers))

    def read_styles(self, read: ReadText, steers: Sequence[Steer]) -> list[StyleReading]:
        """Return `style_reading.read_styles`; the first call reads ordinary text, once a model."""
        return self._engine.call(lambda: read_styles(self._lm, read, steers))

    def word_effects(self, text: str, steer: Steer) -> Steps[list[WordEffect]]:
        """Do what `word_effects.word_effects` does, a word at a time."""
        return self._engine.work(splitting(self._lm, text, steer))

    def score(
        self,
        token_ids: Sequence[int],
        steers: Sequence[tuple[Steer, float]],
        n_alternatives: int = 0,
        *,
        with_end: bool = False,
        unlock: bool = False,
    ) -> Steps[list[Token]]:
        """Do what `token_scores.scoring` does, some tokens at a time.

        `with_end` scores the model's end of text after the tokens too, if it has one.
        """
        _check_unlocked(steers, unlock)
        end = sorted(self._lm.end_ids)[:1] if with_end else []
        return self._engine.work(scoring(self._lm, [*token_ids, *end], steers, n_alternatives))

    def inspect_token(
        self,
        text: str | Sequence[int],
        position: int,
        steers: Sequence[tuple[Steer, float]],
        *,
        top: int = 10,
        unlock: bool = False,
    ) -> InspectedToken:
        """Return `inspection.inspect_token` of a text or its tokens, as `prompt_ids` takes them."""
        _check_unlocked(steers, unlock)
        ids = self.prompt_ids(text, 0) if isinstance(text, str) else text
        return finished(self._engine.work(inspecting(self._lm, ids, position, steers, top=top)))

    def dimensions(self, steer: Steer, *, unlock: bool = False, **options: Any) -> list[Dimension]:
        """Return `dimensions.dimensions`, without `unlock` without a locked pole's words."""
        options.setdefault("plus_only", steer.card.is_locked and not unlock)
        return self._engine.call(lambda: dimensions(self._lm, steer, **options))

    def dimension_steer(
        self, steer: Steer, i: int, *, unlock: bool = False, **options: Any
    ) -> Steer:
        """Return `dimensions.dimension_steer`; its poles are words, as `dimensions` shows them."""
        steer.card.check_unlocked(-1.0, unlock)
        return self._engine.call(lambda: dimension_steer(self._lm, steer, i, **options))

    def word_map(self, steer: Steer, *, unlock: bool = False, **options: Any) -> WordMap:
        """Return `word_map.word_map`, without `unlock` without a locked pole's words."""
        options.setdefault("plus_only", steer.card.is_locked and not unlock)
        return self._engine.call(lambda: word_map(self._lm, steer, **options))

    def word_clusters(self) -> WordClusters:
        """Return `word_clusters.clustering`."""
        return finished(self._engine.work(clustering(self._lm)))

    def word_shifts(self, steer: Steer | None, *, unlock: bool = False) -> Tensor:
        """Return `word_plane.word_shifts`, without `unlock` without a locked pole's words."""
        is_hidden = steer is not None and steer.card.is_locked and not unlock
        return self._engine.call(lambda: word_shifts(self._lm, steer, plus_only=is_hidden))

    def principal_plane(self, steer: Steer | None = None) -> WordPlane:
        """Return `word_plane.principal_plane`."""
        return self._engine.call(lambda: principal_plane(self._lm, steer))

    def neighbourhood_plane(self) -> WordPlane:
        """Return `word_plane.neighbourhood_plane`; the first time takes minutes, beside the engine.

        Read the words by another call first, so that the model is not used beside the engine.
        """
        return neighbourhood_plane(self._lm)

    def whole_words(self) -> tuple[list[str], Tensor]:
        """Return all words of the `vocabulary` with their mean probabilities in ordinary text."""
        return self._engine.call(lambda: word_frequencies(self._lm))

    def dimension_page(
        self, steer: Steer, i: int, *, unlock: bool = False, **options: Any
    ) -> DimensionPage:
        """Return `dimension_page.dimension_page`; a locked pole's words are as in `dimensions`."""
        options.setdefault("plus_only", steer.card.is_locked and not unlock)
        return self._engine.call(lambda: dimension_page(self._lm, steer, i, **options))

    def neighbours(
        self,
        word: str,
        *,
        steer: Steer | None = None,
        epsilon: float = 0.0,
        unlock: bool = False,
        **options: Any,
    ) -> Neighbours:
        """Return `word_space.neighbours`; a locked pole is refused without `unlock`."""
        _check_unlocked([(steer, epsilon)] if steer else [], unlock)
        return self._engine.call(
            lambda: neighbours(self._lm, word, steer=steer, epsilon=epsilon, **options)
        )

    def axis(
        self,
        plus: Sequence[str],
        minus: Sequence[str],
        *,
        steer: Steer | None = None,
        epsilon: float = 1.0,
        unlock: bool = False,
        **options: Any,
    ) -> Axis:
        """Return `word_space.axis`; a locked pole is refused without `unlock`."""
        _check_unlocked([(steer, epsilon)] if steer else [], unlock)
        return self._engine.call(
            lambda: axis(self._lm, plus, minus, steer=steer, epsilon=epsilon, **options)
        )

    def analogy(
        self,
        a: str,
        b: str,
        c: str,
        *,
        steer: Steer | None = None,
        epsilon: float = 0.0,
        unlock: bool = False,
        **options: Any,
    ) -> Analogy:
        """Return `word_space.analogy`; a locked pole is refused without `unlock`."""
        _check_unlocked([(steer, epsilon)] if steer else [], unlock)
        return self._engine.call(
            lambda: analogy(self._lm, a, b, c, steer=steer, epsilon=epsilon, **options)
        )

    def _read_prompt(self, prompt: str) -> None:
        """Read a prompt in steps; the analysis that follows finds its last state kept."""
        ids, _ = self._lm.encode(prompt, reserve=1)
        finished(self._engine.work(self._lm.next_state(ids)))

    # Making

    def train(
        self,
        name: str,
        source: Source | Sequence[tuple[Source, float]],
        progress: Progress,
        *,
        rank: int | None = None,
    ) -> Steer:
        """Return a steer made from a source, as `train.train` does; nothing here changes."""
        self._prepare_batches()
        return train(self._lm, name, source, rank=rank, progress=progress)

    def train_official(
        self, name: str, data: LabelledText, progress: Progress, *, rank: int = 1000
    ) -> Steer:
        """Return a steer made by `official_recipe.train_official`, calibrated on the same texts."""
        snapshots = train_official(
            self._lm, name, data.texts, data.labels, rank=rank, progress=progress
        )
        return calibrated(self._lm, snapshots[N_STEPS], data, progress=progress)

    def transfer(
        self,
        steer: Steer,
        target: Workbench,
        *,
        method: Method = "behaviour",
        name: str | None = None,
        progress: Progress | None = None,
    ) -> Steer:
        """Return one of this model's steers made for another's; as `transfer_steer` does."""
        self._prepare_batches()
        target._prepare_batches()
        return transfer_steer(
            self._lm, steer, target._lm, method=method, name=name, progress=progress
        )

    def fit_report(self, steer: Steer, target: Workbench) -> FitReport:
        """Return `transfer.fit_report` for one of this model's steers."""
        return fit_report(self._lm, steer, target._lm)

    def export(
        self,
        parts: Sequence[tuple[Steer, float]],
        folder: Path | str,
        *,
        peft: bool,
        unlock: bool = False,
    ) -> Path:
        """Write the model with steers at a fixed ε, whole or as a PEFT adapter.

        Arguments and errors as for `export.export_merged`; a locked pole is refused without
        `unlock`.
        """
        _check_unlocked(parts, unlock)
        return (export_peft if peft else export_merged)(self._lm, parts, folder)

    def _prepare_batches(self) -> None:
        """Copy the model for batches, while nobody steers it."""
        self._engine.call(lambda: self._lm.for_batches)


def _check_unlocked(parts: Iterable[tuple[Steer, float]], unlock: bool) -> None:
    for steer, epsilon in parts:
        steer.card.check_unlocked(epsilon, unlock)
