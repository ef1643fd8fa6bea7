"""A token's text, and the first token of a word."""

from __future__ import annotations

from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.text import check_text, is_unspaced


def token_text(lm: LanguageModel, token_id: int) -> str:
    """Return a token as it stands in a text, its leading space included.

    Part of a character, which no text shows, is returned as the tokenizer spells it.
    """
    token = str(lm.tokenizer.convert_ids_to_tokens(token_id))
    text = str(lm.tokenizer.decode([token_id], clean_up_tokenization_spaces=False))
    if "\ufffd" in text or not text:
        return token
    # SentencePiece decoders drop the space of a text's first token.
    return " " + text if token.startswith("▁") and not text.startswith(" ") else text


def first_token(lm: LanguageModel, prompt: str, word: str) -> tuple[int, bool]:
    """Return the first token of a word that continues the prompt, and whether it is its only one.

    A word that begins with a letter or digit is set off by a space, unless the prompt ends in one
    or its script has none.
    """
    check_text(word, "word")
    tail = prompt[-200:]
    if word[0].isalnum() and not tail[-1].isspace() and not is_unspaced(word[0]):
        word = " " + word
    before: list[int] = lm.tokenizer(tail, add_special_tokens=False)["input_ids"]
    after: list[int] = lm.tokenizer(tail + word, add_special_tokens=False)["input_ids"]
    ids = after[len(before) :]
    if after[: len(before)] != before or not ids:  # the prompt's last token would have been another
        ids = lm.tokenizer(word, add_special_tokens=False)["input_ids"]
    return ids[0], len(ids) == 1
