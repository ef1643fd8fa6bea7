"""What a tokenizer puts before a text, ends it with, and makes of each token; every kind of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from lmsteer_core.errors import InputError

_ANCHORS = ("a", "b")
"""Words that tokens are read behind: the second serves the tokens of the first."""

_ANSWER = "Yes"


class TextStream:
    """The characters that each new token adds to a text, whole ones only.

    What a decoder does at the beginning of a text, such as dropping a space, it does to the
    prompt, so the prompt and the pieces joined are what all tokens decode to together. Only bytes
    that form no character may read otherwise: a decoder shows them in the light of what follows,
    and what was given out cannot be taken back.
    """

    def __init__(self, ids: Sequence[int] = ()) -> None:
        """Begin after the tokens of a prompt."""
        self._before, self._new = list(ids), list[int]()

    def step(self, tokenizer: Tokenizer, token_id: int) -> str:
        """Return what a token adds; "" while a character is unfinished."""
        self._new.append(token_id)
        before = tokenizer.decode(self._before, skip_special_tokens=True)
        text = tokenizer.decode(self._before + self._new, skip_special_tokens=True)
        if len(text) <= len(before) or text.endswith("\ufffd"):
            return ""
        self._before, self._new = self._new, []  # all a decoder needs to know of the past
        return text[len(before) :]


def prefix_ids(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return what the tokenizer puts before every text: one BOS for Llama, often nothing."""
    bare: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
    full: list[int] = tokenizer("a")["input_ids"]
    starts = range(len(full) - len(bare) + 1)
    return next((full[:i] for i in starts if full[i : i + len(bare)] == bare), [])


def end_ids(
    tokenizer: PreTrainedTokenizerBase, eos_setting: int | Sequence[int] | None
) -> frozenset[int]:
    """Return the tokens that end a text.

    Args:
        tokenizer: Adds its own EOS, and the token with which its chat template ends an answer.
        eos_setting: What the model's own settings name.
    """
    configured = [eos_setting] if isinstance(eos_setting, int) else eos_setting or []
    eos = tokenizer.eos_token_id
    return frozenset(
        [*configured, *([eos] if isinstance(eos, int) else []), *_end_of_turn(tokenizer)]
    )


def chat_text(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Mapping[str, str]],
    *,
    is_answered: bool = False,
) -> str:
    """Return a chat in the tokenizer's own template, what must stand before it included.

    Args:
        tokenizer: One that has a template.
        messages: Each with "role" and "content".
        is_answered: Whether the last message is an answer; else the assistant is about to speak.

    Raises:
        InputError: If the template refuses the messages.
    """
    chat = [dict(message) for message in messages]
    try:
        text = tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=not is_answered
        )
    except Exception as error:  # templates raise their own errors about the order of roles
        raise InputError(f"The model's chat template refuses these messages: {error}") from error
    return str(text)


def _end_of_turn(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the token with which a chat template ends an answer, if there is one."""
    if not tokenizer.chat_template:
        return []
    chat = [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": _ANSWER}]
    try:
        text = chat_text(tokenizer, chat, is_answered=True)
    except InputError:
        return []
    ending = text.rpartition(_ANSWER)[2].lstrip()
    ids: list[int] = tokenizer(ending, add_special_tokens=False)["input_ids"][:1]
    return [token_id for token_id in ids if token_id in tokenizer.added_tokens_decoder]


def token_texts(tokenizer: PreTrainedTokenizerBase, n_tokens: int) -> list[str]:
    """Return what each of the first tokens adds to a text that it continues, spaces included."""
    backend: Any = tokenizer.backend_tokenizer
    words = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in _ANCHORS]

    def texts_after(word: list[int], ids: Sequence[int]) -> list[str]:
        decoded = backend.decode_batch([[*word, i] for i in ids], skip_special_tokens=False)
        n_before = len(backend.decode(word, skip_special_tokens=False))
        return [text[n_before:] for text in decoded]

    texts = texts_after(words[0], range(n_tokens))
    for i in set(words[0]) & set(range(n_tokens)):  # a decoder may drop a token that is repeated
        (texts[i],) = texts_after(words[1], [i])
    return texts
