"""The requests that the HTTP API accepts and the choices that it answers with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lmsteer_core.errors import InputError
from lmsteer_core.generation.live_row import Token
from lmsteer_core.workbench import Workbench

_MAX_STOPS = 4


def _integral(value: Any) -> Any:
    """Return 3 for 3.0, which JSON does not tell from it, and anything else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_Whole = Annotated[int, BeforeValidator(_integral)]


class _StreamOptions(BaseModel):
    include_usage: bool = False


class GenerationRequest(BaseModel):
    """What both kinds of request have in common."""

    model_config = ConfigDict(extra="forbid", strict=True)
    object: ClassVar[str]
    chunk: ClassVar[str]

    model: str | None = None
    max_tokens: _Whole = Field(16, ge=1)
    temperature: float = 1.0
    top_p: float = 1.0
    n: _Whole = Field(1, ge=1)
    seed: _Whole | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None
    steer: dict[str, float] = {}
    unlock: bool = False
    user: str | None = None
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None

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
    def is_scored(self) -> bool:
        """Whether log-probabilities are wanted."""
        raise NotImplementedError

    def prompts(self, workbench: Workbench) -> list[str]:
        """Return the texts to continue."""
        raise NotImplementedError

    def choice(
        self, index: int, text: str, scores: TokenScores, finish: str | None, is_part: bool
    ) -> Any:
        """Return an answer, or the next part of one."""
        raise NotImplementedError


class Completion(GenerationRequest):
    """The body of POST /v1/completions."""

    object = "text_completion"
    chunk = "text_completion"
    prompt: str | list[str]
    logprobs: Literal[0, 1] | None = None
    echo: Literal[False] = False
    best_of: Literal[1] | None = None

    @property
    def is_scored(self) -> bool:
        """Whether log-probabilities are wanted; 0 wants those of the chosen tokens."""
        return self.logprobs is not None

    def prompts(self, _workbench: Workbench) -> list[str]:
        """Return the texts to continue."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    def choice(
        self, index: int, text: str, scores: TokenScores, finish: str | None, _is_part: bool
    ) -> Any:
        """Return an answer, or the next part of one."""
        told = None
        if self.is_scored:
            told = {
                "tokens": [token.text for token in scores.tokens],
                "token_logprobs": [token.logprob for token in scores.tokens],
                "top_logprobs": [{t.text: t.logprob} for t in scores.tokens]
                if self.logprobs
                else None,
                "text_offset": scores.offsets,
                "base_token_logprobs": [token.base_logprob for token in scores.tokens],
            }
        return {"index": index, "text": text, "logprobs": told, "finish_reason": finish}


class _TextPart(BaseModel):
    type: Literal["text"]
    text: str


class _Message(BaseModel):
    role: Literal["system", "user", "assistant"]
    content: str | list[_TextPart]


class Chat(GenerationRequest):
    """The body of POST /v1/chat/completions."""

    object = "chat.completion"
    chunk = "chat.completion.chunk"
    messages: list[_Message] = Field(min_length=1)
    max_tokens: _Whole = Field(256, ge=1)
    max_completion_tokens: _Whole | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: Literal[0] | None = None

    @property
    def limit(self) -> int:
        """Most new tokens, by either of its names."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def is_scored(self) -> bool:
        """Whether log-probabilities are wanted."""
        return bool(self.logprobs)

    def prompts(self, workbench: Workbench) -> list[str]:
        """Return the chat in the model's own template, where the assistant is about to speak."""
        messages = [
            {
                "role": message.role,
                "content": message.content
                if isinstance(message.content, str)
                else "".join(part.text for part in message.content),
            }
            for message in self.messages
        ]
        return [workbench.chat_prompt(messages)]

    def choice(
        self, index: int, text: str, scores: TokenScores, finish: str | None, is_part: bool
    ) -> Any:
        """Return an answer, or the next part of one."""
        message = {"role": "assistant", "content": text}
        told = None
        if self.is_scored:
            told = {
                "content": [
                    {
                        "token": t.text,
                        "logprob": t.logprob,
                        "bytes": [*t.text.encode()],
                        "top_logprobs": [],
                        "base_logprob": t.base_logprob,
                    }
                    for t in scores.tokens
                ]
            }
        return {
            "index": index,
            "delta" if is_part else "message": message,
            "logprobs": told,
            "finish_reason": finish,
        }


@dataclass
class TokenScores:
    """Tokens with the place where each begins in the answer."""

    tokens: list[Token] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
