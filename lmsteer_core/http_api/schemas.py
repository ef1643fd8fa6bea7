"""The requests that the HTTP API accepts and the choices that it answers with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lmsteer_core.errors import InputError
from lmsteer_core.generation.live_row import Token
from lmsteer_core.http_api.answer import Piece
from lmsteer_core.workbench import Workbench

_MAX_STOPS = 4
_MAX_ALTERNATIVES = 20


def _integral(value: Any) -> Any:
    """Return 3 for 3.0, which JSON does not tell from it, and anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_WholeNumber = Annotated[int, BeforeValidator(_integral)]
_Zero = Annotated[Literal[0], BeforeValidator(_integral)]
_One = Annotated[Literal[1], BeforeValidator(_integral)]
_Alternatives = Annotated[_WholeNumber, Field(ge=0, le=_MAX_ALTERNATIVES)]

Prompt = str | list[int]
"""A text, or token ids."""

TokenText = Callable[[int], str]
"""Token id → its text."""


class _StreamOptions(BaseModel):
    include_usage: bool | None = None


class GenerationRequest(BaseModel):
    """What both kinds of request have in common; null stands for a field left out."""

    model_config = ConfigDict(extra="forbid", strict=True)
    object: ClassVar[str]
    chunk: ClassVar[str]

    model: str | None = None
    max_tokens: _WholeNumber = Field(16, ge=1)
    temperature: float = 1.0
    top_p: float = 1.0
    n: _WholeNumber = Field(1, ge=1)
    seed: _WholeNumber | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None
    steer: dict[str, float] = {}
    unlock: bool = False
    user: str | None = None
    frequency_penalty: _Zero | None = None
    presence_penalty: _Zero | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {name: value for name, value in body.items() if value is not None}

    @property
    def stops(self) -> list[str]:
        """Texts that end the answer, not part of it."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        if len(stops) > _MAX_STOPS or not all(stops):
            raise InputError(f"stop takes up to {_MAX_STOPS} texts, none of them empty.")
        return stops

    @property
    def limit(self) -> int:
        """Most new tokens."""
        return self.max_tokens

    @property
    def is_echoed(self) -> bool:
        """Whether the answer begins with the prompt."""
        return False

    @property
    def is_scored(self) -> bool:
        """Whether log-probabilities are wanted."""
        raise NotImplementedError

    @property
    def n_alternatives(self) -> int:
        """Likeliest tokens that are wanted in each token's place."""
        raise NotImplementedError

    def prompts(self, workbench: Workbench) -> Sequence[Prompt]:
        """Return what to continue."""
        raise NotImplementedError

    def choice(
        self, index: int, piece: Piece, finish: str | None, token_text: TokenText
    ) -> dict[str, Any]:
        """Return an answer."""
        raise NotImplementedError

    def part(
        self, index: int, piece: Piece, finish: str | None, token_text: TokenText, *, is_first: bool
    ) -> dict[str, Any]:
        """Return the next part of an answer."""
        raise NotImplementedError


class Completion(GenerationRequest):
    """The body of POST /v1/completions."""

    object = "text_completion"
    chunk = "text_completion"
    prompt: str | list[str] | list[_WholeNumber] | list[list[_WholeNumber]]
    max_tokens: _WholeNumber = Field(16, ge=0)
    logprobs: _Alternatives | None = None
    echo: bool = False
    best_of: _One | None = None

    @property
    def is_echoed(self) -> bool:
        """Whether the answer begins with the prompt."""
        return self.echo

    @property
    def is_scored(self) -> bool:
        """Whether log-probabilities are wanted; 0 wants those of the chosen tokens."""
        return self.logprobs is not None

    @property
    def n_alternatives(self) -> int:
        """Likeliest tokens that are wanted in each token's place."""
        return self.logprobs or 0

    def prompts(self, _workbench: Workbench) -> Sequence[Prompt]:
        """Return what to continue."""
        prompt: Any = self.prompt
        is_single = isinstance(prompt, str) or (prompt and isinstance(prompt[0], int))
        return [prompt] if is_single else prompt

    def choice(
        self, index: int, piece: Piece, finish: str | None, token_text: TokenText
    ) -> dict[str, Any]:
        """Return an answer."""
        scores = self._scores(piece, token_text) if self.is_scored else None
        return {"index": index, "text": piece.text, "logprobs": scores, "finish_reason": finish}

    def part(
        self, index: int, piece: Piece, finish: str | None, token_text: TokenText, *, is_first: bool
    ) -> dict[str, Any]:
        """Return the next part of an answer."""
        del is_first
        return self.choice(index, piece, finish, token_text)

    def _scores(self, piece: Piece, token_text: TokenText) -> dict[str, Any]:
        top = [_top_logprobs(token, token_text) for token in piece.tokens]
        return {
            "tokens": [token.text for token in piece.tokens],
            "token_logprobs": [_finite_or_none(token.logprob) for token in piece.tokens],
            "top_logprobs": top if self.logprobs else None,
            "text_offset": piece.offsets,
            "base_token_logprobs": [_finite_or_none(token.base_logprob) for token in piece.tokens],
        }


class _TextPart(BaseModel):
    type: Literal["text"]
    text: str


class _Message(BaseModel):
    role: Literal["system", "user", "assistant"]
    content: str | list[_TextPart]
    name: str | None = None

    @property
    def text(self) -> str:
        """What it says."""
        parts = self.content
        return parts if isinstance(parts, str) else "".join(part.text for part in parts)


class Chat(GenerationRequest):
    """The body of POST /v1/chat/completions."""

    object = "chat.completion"
    chunk = "chat.completion.chunk"
    messages: list[_Message] = Field(min_length=1)
    max_tokens: _WholeNumber = Field(256, ge=1)
    max_completion_tokens: _WholeNumber | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: _Alternatives | None = None

    @property
    def limit(self) -> int:
        """Most new tokens, by either of its names."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def is_scored(self) -> bool:
        """Whether log-probabilities are wanted."""
        return bool(self.logprobs)

    @property
    def n_alternatives(self) -> int:
        """Likeliest tokens that are wanted in each token's place."""
        if self.top_logprobs and not self.logprobs:
            raise InputError("top_logprobs needs logprobs to be true.")
        return self.top_logprobs or 0

    def prompts(self, workbench: Workbench) -> Sequence[Prompt]:
        """Return the chat in the model's own template, where the assistant is about to speak."""
        messages = [{"role": message.role, "content": message.text} for message in self.messages]
        return [workbench.chat_ids(messages)]

    def choice(
        self, index: int, piece: Piece, finish: str | None, token_text: TokenText
    ) -> dict[str, Any]:
        """Return an answer."""
        message = {"role": "assistant", "content": piece.text, "refusal": None}
        return {"index": index, "message": message, **self._end(piece, finish, token_text)}

    def part(
        self, index: int, piece: Piece, finish: str | None, token_text: TokenText, *, is_first: bool
    ) -> dict[str, Any]:
        """Return the next part of an answer."""
        delta = {"role": "assistant"} if is_first else {}
        delta["content"] = piece.text
        return {"index": index, "delta": delta, **self._end(piece, finish, token_text)}

    def _end(self, piece: Piece, finish: str | None, token_text: TokenText) -> dict[str, Any]:
        if not self.is_scored:
            return {"logprobs": None, "finish_reason": finish}
        scores = [
            {
                **_scored_token(token.text, token.logprob),
                "top_logprobs": [_scored_token(token_text(i), p) for i, p in token.alternatives],
                "base_logprob": token.base_logprob,
            }
            for token in piece.tokens
        ]
        return {"logprobs": {"content": scores, "refusal": None}, "finish_reason": finish}


def _top_logprobs(token: Token, token_text: TokenText) -> dict[str, float] | None:
    """Return log-probabilities by text, of the likeliest tokens and the chosen one."""
    if math.isnan(token.logprob):  # a text's first token
        return None
    scores: dict[str, float] = {}
    for token_id, logprob in (*token.alternatives, (token.id, token.logprob)):
        is_chosen = token_id == token.id
        scores.setdefault(
            token.text if is_chosen else token_text(token_id),
            token.logprob if is_chosen else logprob,
        )
    return scores


def _scored_token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": [*text.encode()]}


def _finite_or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
