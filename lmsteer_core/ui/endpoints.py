"""Named endpoints: what the app can do, for gradio's clients."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ParamSpec, TypeVar

import gradio as gr
from gradio.events import api

from lmsteer_core.analysis.spans import strongest_spans
from lmsteer_core.errors import InputError, LMSteerError
from lmsteer_core.generation.generate import Row, growing
from lmsteer_core.generation.live_row import Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.limits import check_whole_number
from lmsteer_core.progress import finished
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.ui.page.events import STREAMING
from lmsteer_core.workbench import Workbench

_MAX_WORDS = 1000
"""Curves that one answer may hold."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


def create_endpoints(workbench: Workbench) -> None:
    """Add /generate, /nextword, /words, /analyze, /inspect and /steers to the open Blocks."""
    answers = _Answers(workbench)
    # Of events that share an id the lowest limit counts, and an unnamed one is 1.
    api(
        answers.generate,
        **{name: STREAMING[name] for name in ("concurrency_id", "concurrency_limit")},
    )
    looks = (answers.nextword, answers.words, answers.analyze, answers.inspect, answers.steers)
    for answer in looks:
        api(_in_a_sentence(answer))


class _Answers:
    """What each endpoint answers; gradio shows the names and docstrings to clients."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    def generate(
        self,
        prompt: str,
        steer: dict[str, float],
        max_new_tokens: int = 40,
        temperature: float = 0.9,
        top_p: float = 0.95,
        seed: int = 0,
        unlock: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Continue a prompt without and with steering, the same dice for both.

        Yields both as they grow.

        Either is {"text", "token_ids", "logprobs"}, of which the last are in nats and at
        temperature 1.

        Args:
            prompt: What to continue.
            steer: ε by steer name, e.g. {"sentiment": 2.0}; /steers lists the names.
            max_new_tokens: Tokens to add at most.
            temperature: 0 is greedy.
            top_p: Probability mass kept by nucleus sampling.
            seed: Names the dice.
            unlock: Use a locked − pole; its notice says why it is locked.
        """
        rows = [Row(prompt), Row(prompt, steer)]
        try:
            sampling = Sampling(temperature, top_p, max_new_tokens, seed)
            for texts in growing(
                self._workbench.stream(rows, sampling, unlock=_flag(unlock)), len(rows)
            ):
                yield {
                    name: _content(tokens)
                    for name, tokens in zip(("baseline", "steered"), texts, strict=True)
                }
        except LMSteerError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def nextword(
        self, prompt: str, steer: str, n_words: int = 8, unlock: bool = False
    ) -> dict[str, Any]:
        """Return the probability of the likeliest next words, exactly, over a grid of ε.

        Args:
            prompt: What is continued.
            steer: The steer whose ε varies.
            n_words: Words to follow.
            unlock: Go on to a locked − pole; else the grid ends at 0 there.
        """
        n_words = check_whole_number(n_words, "The number of words", 0, _MAX_WORDS)
        curves = self._workbench.next_words(
            prompt, self._workbench.steer(steer), top=n_words, unlock=_flag(unlock)
        )
        words = {word.text: word.probability for word in curves.words}
        return {"epsilon": curves.epsilons, "probability": words}

    def words(
        self, steer: str, n_dims: int = 3, n_words: int = 12, unlock: bool = False
    ) -> list[dict[str, Any]]:
        """Return the words at both ends of a steer's strongest dimensions.

        Args:
            steer: The steer.
            n_dims: Dimensions.
            n_words: Words at either end.
            unlock: Show the words of a locked pole.
        """
        dimensions = self._workbench.dimensions(
            self._workbench.steer(steer), n_dims=n_dims, n_words=n_words, unlock=_flag(unlock)
        )
        return [dataclasses.asdict(dimension) for dimension in dimensions]

    def analyze(self, text: str, steer: str) -> dict[str, Any]:
        """Return what a text says about a steer.

        Per token its evidence log P₊ − log P₋ and its score against ordinary text, both in nats;
        the scores' total, and that total in standard deviations of ordinary text; P(ε | text); and
        the spans of strongest evidence.

        Args:
            text: The text.
            steer: The steer.
        """
        chosen = self._workbench.steer(steer)
        read = finished(self._workbench.read(text))
        (profile,) = finished(self._workbench.profile(read, [chosen]))
        (style,) = self._workbench.read_styles(read, [chosen])
        spans = strongest_spans(read.token_texts, profile.evidence)
        return {
            "tokens": read.token_texts,
            "evidence": profile.evidence,
            "scores": style.scores,
            "total": style.total,
            "strength": style.strength,
            "epsilon": profile.epsilons,
            "posterior": profile.posterior,
            "spans": [dataclasses.asdict(span) for span in spans],
        }

    def inspect(
        self, text: str, steer: dict[str, float], token: int = -1, unlock: bool = False
    ) -> dict[str, Any]:
        """Return what made one token of a text as likely as it is, exactly.

        Its log-probabilities without and with steering, in nats, and what sums to their
        difference: the share of every dimension of every steer, the model's softcap and the
        normaliser; and the ten likeliest tokens before and after.

        Args:
            text: The text.
            steer: ε by steer name, e.g. {"sentiment": 2.0}.
            token: Its place among the text's tokens, from 0; negative ones count from the end.
            unlock: Use a locked − pole.
        """
        if not isinstance(steer, dict):
            raise InputError(f"ε must be given by steer name, not {steer!r:.40}.")
        parts = [(self._workbench.steer(n), check_epsilon(e, n)) for n, e in steer.items()]
        found = self._workbench.inspect_token(text, token, parts, unlock=_flag(unlock))
        return {**dataclasses.asdict(found), "shift": found.shift}

    def steers(self) -> dict[str, dict[str, Any]]:
        """Return every steer's poles, the useful range of ε, and its notice."""
        cards = {name: self._workbench.steers[name].card for name in self._workbench.names}
        return {
            name: {
                "negative": card.negative,
                "positive": card.positive,
                "useful": card.epsilon_range,
                "notice": card.notice,
            }
            for name, card in cards.items()
        }


def _flag(value: object) -> bool:
    """Return a truth value as it is; the text "false" would unlock."""
    if not isinstance(value, bool):
        raise InputError(f"unlock must be true or false, not {value!r:.40}.")
    return value


def _content(tokens: Sequence[Token]) -> dict[str, Any]:
    return {
        "text": "".join(token.text for token in tokens),
        "token_ids": [token.id for token in tokens],
        "logprobs": [token.logprob for token in tokens],
    }


def _in_a_sentence(answer: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let an error reach the client as its sentence."""

    @functools.wraps(answer)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return answer(*args, **kwargs)
        except LMSteerError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return wrapped
