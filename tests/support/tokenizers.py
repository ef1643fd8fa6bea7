"""Tiny tokenizers, one for every kind of decoder that the tokenizers library has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.decoders import Decoder
from transformers import PreTrainedTokenizerFast

_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
_MARKED = ["▁", "a", "b", "▁a", "▁b", "▁good", "ing", ".", "▁▁", "▁x", "▁dog", "s", "中", "\n"]
_WORD_PIECES = ["a", "b", "good", "##ing", "##s", ".", ",", "dog", "'", "n't", "##.", "中", "x"]
_ENDED = [*"dog", "a</w>", "b</w>", "d</w>", "g</w>", "do", "dog</w>", "go", "goo", "good</w>"]
_MERGES = [("d", "o"), ("do", "g</w>"), ("g", "o"), ("go", "o"), ("goo", "d</w>")]
_SPECIAL = ["<unk>", "<s>", "</s>"]


@dataclass(frozen=True)
class Kind:
    """A vocabulary, what decodes it, and how a text is cut into its tokens: words if not told."""

    tokens: Sequence[str]
    decoder: Decoder | None
    pre_tokenizer: pre_tokenizers.PreTokenizer | None = None
    normalizer: normalizers.Normalizer | None = None
    merges: Sequence[tuple[str, str]] = ()


def _sequence(*parts: Decoder) -> Decoder:
    return decoders.Sequence(list(parts))


_BYTE_LEVEL = ["a", "b", "Ġa", "Ġgood", "ing", "Ġ", "ä", "¸", "Ń", "Ċ", ".", "Ġdog", "Ġx", "s"]
_REPLACE, _FALL_BACK, _FUSE = decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()
_SPLIT = pre_tokenizers.WhitespaceSplit()

KINDS: dict[str, Kind] = {
    "none": Kind(["a", "b", "good", "ing", ".", "dog", "x"], None, _SPLIT),
    "ByteLevel": Kind(
        _BYTE_LEVEL, decoders.ByteLevel(), pre_tokenizers.ByteLevel(add_prefix_space=False)
    ),
    "Metaspace": Kind(_MARKED, decoders.Metaspace(), pre_tokenizers.Metaspace()),
    "Metaspace, first": Kind(
        _MARKED,
        decoders.Metaspace(prepend_scheme="first"),
        pre_tokenizers.Metaspace(prepend_scheme="first"),
    ),
    "Metaspace, never": Kind(
        _MARKED,
        decoders.Metaspace(prepend_scheme="never"),
        pre_tokenizers.Metaspace(prepend_scheme="never"),
    ),
    "WordPiece": Kind(_WORD_PIECES, decoders.WordPiece(), _SPLIT),
    "WordPiece, no cleanup": Kind(_WORD_PIECES, decoders.WordPiece(cleanup=False), _SPLIT),
    "BPEDecoder": Kind(_ENDED, decoders.BPEDecoder(), _SPLIT, None, _MERGES),
    "CTC": Kind(["<pad>", "|", "a", "b", "c", ".", "n't"], decoders.CTC()),
    "CTC, no cleanup": Kind(["<pad>", "|", "a", "b", "c"], decoders.CTC(cleanup=False)),
    "Llama 2": Kind(
        [*_MARKED, *_BYTES],
        _sequence(_REPLACE, _FALL_BACK, _FUSE, decoders.Strip(" ", 1, 0)),
        None,
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
    ),
    "Gemma": Kind(
        [*_MARKED, *_BYTES],
        _sequence(_REPLACE, _FALL_BACK, _FUSE),
        None,
        normalizers.Replace(" ", "▁"),
    ),
    "Replace": Kind(_MARKED, _REPLACE),
    "Fuse": Kind(_MARKED, _FUSE),
    "ByteFallback": Kind([*_MARKED, *_BYTES], _FALL_BACK),
    "Strip in a Sequence": Kind(_MARKED, _sequence(_REPLACE, decoders.Strip(" ", 1, 0))),
    "Fuse, then Replace": Kind(_MARKED, _sequence(_FUSE, _REPLACE)),
    "a Sequence of ByteLevel and Fuse": Kind(_BYTE_LEVEL, _sequence(decoders.ByteLevel(), _FUSE)),
}


def make_tokenizer(kind: str, *, adds_bos: bool = False) -> PreTrainedTokenizerFast:
    """Return a tokenizer whose decoder is of a kind, of at most 300 tokens."""
    made = KINDS[kind]
    tokens = [*_SPECIAL, *made.tokens]
    ids = {token: i for i, token in enumerate(tokens)}
    model: models.Model = models.WordLevel(ids, unk_token="<unk>")
    if made.normalizer is not None:  # pieces of characters, as SentencePiece has them
        model = models.Unigram([(token, -float(i)) for token, i in ids.items()], 0, True)
    if made.merges:
        model = models.BPE(ids, list(made.merges), unk_token="<unk>", end_of_word_suffix="</w>")
    backend = Tokenizer(model)
    if made.pre_tokenizer is not None:
        backend.pre_tokenizer = made.pre_tokenizer
    if made.normalizer is not None:
        backend.normalizer = made.normalizer
    if made.decoder is not None:
        backend.decoder = made.decoder
    if adds_bos:
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", ids["<s>"])]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
