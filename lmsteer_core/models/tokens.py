"""A token's text, and the first token of a word."""

from __future__ import annotations

from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.text import check_text, is_unspaced


def token_text(lm: LanguageModel, token_id: int) -> str:
    """Return a token as it stands in a text, its leading space included.

    Part of a character, which no text shows, is returned as the tokenizer spells it.
    """
    text = lm.token_texts[token_id]
    is_shown = text and "\ufffd" not in text
    return text if is_shown else str(lm.tokenizer.convert_ids_to_tokens(token_id))


def first_token(lm: LanguageModel, prompt: str, word: str) -> tuple[int, bool]:
    """Return the first token of a word that continues the prompt, and whether it is its only one.

    A word that begins with a letter or digit is set off by a space, unless the prompt ends in one
    or its script has none.
    """
    check_text(word, "word")
    tail = prompt[-200:]
    if word[0].isalnum() and not tail[-1].isspace() and not is_unspaced(word[0]):
        word = " " + word
    before, after = lm.token_ids(tail), lm.token_ids(tail + word)
    ids = after[len(before) :]
    if after[: len(before)] != before or not ids:  # the prompt's last token would have been another
        ids = lm.token_ids(word)
    return ids[0], len(ids) == 1
