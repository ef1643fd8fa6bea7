"""A text is its prompt and what was written, read as one, whatever the tokenizer's decoder."""

from __future__ import annotations

import random

import pytest
from support.models import make_tiny
from support.tokenizers import KINDS, make_tokenizer
from tokenizers import normalizers

from lmsteer_core import LanguageModel, Row, Sampling, generate
from lmsteer_core.analysis.reading import read_text
from lmsteer_core.errors import InputError
from lmsteer_core.models.tokenizer import TextStream, end_ids, prefix_ids, token_texts
from lmsteer_core.workbench import Workbench

CHAT = "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}"


def decoded(tokenizer, ids):
    return tokenizer.backend_tokenizer.decode(ids, skip_special_tokens=True)


def streamed(tokenizer, prompt, ids):
    stream = TextStream(prompt)
    return "".join(stream.step(tokenizer.backend_tokenizer, i) for i in ids)


def is_whole(text, whole):
    """Whether a text is a whole one, or all of it but a last unfinished character."""
    return whole == text or (whole.startswith(text) and set(whole[len(text) :]) == {"\ufffd"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_and_its_continuation_are_what_all_tokens_decode_to(kind):
    tokenizer, dice = make_tokenizer(kind), random.Random(0)
    ids = [
        i
        for i in range(len(tokenizer))
        if not str(tokenizer.convert_ids_to_tokens(i)).startswith("<0x")
    ]
    for _ in range(2_000):
        text = [dice.choice(ids) for _ in range(dice.randint(2, 12))]
        n = dice.randint(1, len(text) - 1)
        start = decoded(tokenizer, text[:n])
        if not start.endswith("\ufffd"):  # a prompt's characters are whole
            found = start + streamed(tokenizer, text[:n], text[n:])
            assert is_whole(found, decoded(tokenizer, text)), tokenizer.convert_ids_to_tokens(text)


@pytest.mark.parametrize("kind", ["Llama 2", "Gemma"])
@pytest.mark.parametrize("text", ["中文", "é", "🙂 good", "a 🙂🙂 b", "ключ"])
def test_characters_of_several_bytes_are_whole(kind, text):
    tokenizer = make_tokenizer(kind)
    bytes_of = {f"<0x{byte:02X}>": byte for byte in range(256)}
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert any(tokenizer.convert_ids_to_tokens(i) in bytes_of for i in ids)
    for n in range(1, len(ids)):
        start = decoded(tokenizer, ids[:n])
        if not start.endswith("\ufffd"):  # a prompt's characters are whole
            pieces = start + streamed(tokenizer, ids[:n], ids[n:])
            assert is_whole(pieces, decoded(tokenizer, ids))


@pytest.mark.parametrize("kind", KINDS)
def test_no_token_after_any_other_makes_the_decoder_fail(kind):
    tokenizer, dice = make_tokenizer(kind), random.Random(1)
    for _ in range(2_000):
        ids = [dice.randrange(len(tokenizer)) for _ in range(8)]
        assert isinstance(streamed(tokenizer, ids[:1], ids[1:]), str)


def test_bytes_that_are_no_character_lose_no_text_after_them():
    tokenizer = make_tokenizer("Llama 2")
    ids = tokenizer.convert_tokens_to_ids(["<0x41>", "<0xAD>", "▁good", "ing"])
    assert streamed(tokenizer, [tokenizer.convert_tokens_to_ids("▁a")], ids).endswith(" gooding")


@pytest.mark.parametrize("kind", ["ByteLevel", "Metaspace", "WordPiece", "BPEDecoder", "CTC"])
def test_generated_text_joins_its_prompt(kind):
    lm = LanguageModel(make_tiny("llama", vocab_size=300), make_tokenizer(kind), "tiny")
    lm.__dict__["end_ids"] = frozenset()
    rows = [Row("a dog", seed_offset=i) for i in range(8)]
    prompt = lm.encode("a dog")[0]
    for done in generate(lm, rows, {}, Sampling(temperature=1.0, max_new_tokens=12)):
        whole = decoded(lm.tokenizer, prompt + [token.id for token in done.tokens])
        start = decoded(lm.tokenizer, prompt)
        assert whole.startswith(start)
        assert is_whole(start + done.text, whole)


@pytest.mark.parametrize(
    ("kind", "token", "text"),
    [
        ("ByteLevel", "Ġgood", " good"),
        ("ByteLevel", "ing", "ing"),
        ("Metaspace", "▁good", " good"),
        ("Metaspace", "▁a", " a"),
        ("Metaspace", "ing", "ing"),
        ("Llama 2", "▁good", " good"),
        ("Llama 2", "▁", " "),
        ("Gemma", "▁good", " good"),
        ("WordPiece", "good", " good"),
        ("WordPiece", "##ing", "ing"),
        ("BPEDecoder", "good</w>", " good"),
        ("CTC", "|", " "),
        ("CTC", "a", "a"),
        ("none", "dog", " dog"),
    ],
)
def test_a_tokens_text_is_what_it_adds_to_a_text(kind, token, text):
    tokenizer = make_tokenizer(kind)
    texts = token_texts(tokenizer, len(tokenizer))
    token_id = tokenizer.convert_tokens_to_ids(token)
    assert isinstance(token_id, int)
    assert texts[token_id] == text


def test_tokens_that_only_the_model_has_add_nothing():
    tokenizer = make_tokenizer("ByteLevel")
    texts = token_texts(tokenizer, len(tokenizer) + 3)
    assert texts[-3:] == [""] * 3


@pytest.mark.parametrize("kind", ["ByteLevel", "Metaspace", "Llama 2", "WordPiece"])
def test_the_beginning_is_written_once_whoever_writes_it(kind):
    tokenizer = make_tokenizer(kind, adds_bos=True)
    lm = LanguageModel(make_tiny("llama", vocab_size=300), tokenizer, "tiny")
    assert prefix_ids(tokenizer) == lm.prefix_ids == [1]
    bare, _ = lm.encode("a dog")
    written, _ = lm.encode("<s>a dog")
    assert bare[0] == 1
    assert written.count(1) == bare.count(1) == 1
    assert written == tokenizer("<s>a dog", add_special_tokens=False)["input_ids"]


def test_a_chat_is_read_with_one_beginning():
    tokenizer = make_tokenizer("Llama 2", adds_bos=True)
    tokenizer.chat_template = "{{ bos_token }}{{ messages[0].content }}"
    lm = LanguageModel(make_tiny("llama", vocab_size=300), tokenizer, "tiny")
    workbench = Workbench(lm)
    messages = [{"role": "user", "content": "a good dog"}]
    for template in ("{{ bos_token }}{{ messages[0].content }}", "{{ messages[0].content }}"):
        tokenizer.chat_template = template
        expected = tokenizer.apply_chat_template(messages, return_dict=False)
        assert workbench.chat_ids(messages) == expected
    assert lm.encode("<s>a good dog")[0].count(1) == 1


def test_a_text_ends_where_model_tokenizer_or_chat_template_end_it():
    tokenizer = make_tokenizer("ByteLevel")
    assert end_ids(tokenizer, None) == {2}
    assert end_ids(tokenizer, 5) == {2, 5}
    assert end_ids(tokenizer, [5, 6]) == {2, 5, 6}
    tokenizer.add_special_tokens({"additional_special_tokens": ["<turn>"]})
    turn = tokenizer.convert_tokens_to_ids("<turn>")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m.role }}: {{ m.content }} <turn>\n{% endfor %}"
    )
    assert end_ids(tokenizer, 5) == {2, 5, turn}
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}. good{% endfor %}"
    assert end_ids(tokenizer, 5) == {2, 5}  # a turn that ends with words ends no text
    tokenizer.chat_template = "{{ raise_exception('System first.') }}"
    assert end_ids(tokenizer, 5) == {2, 5}


def test_a_model_whose_settings_name_no_end_stops_at_its_tokenizers():
    model = make_tiny("llama", vocab_size=300)
    model.generation_config.eos_token_id = model.config.eos_token_id = None
    lm = LanguageModel(model, make_tokenizer("ByteLevel"), "tiny")
    assert lm.end_ids == {2}


def test_a_token_that_only_the_tokenizer_has_is_refused_by_name():
    tokenizer = make_tokenizer("ByteLevel")
    lm = LanguageModel(make_tiny("llama"), tokenizer, "tiny")
    tokenizer.add_special_tokens({"additional_special_tokens": [f"<image {i}>" for i in range(97)]})
    with pytest.raises(InputError, match="tiny cannot read the token '<image 96>'"):
        lm.encode("a<image 96>b")


def test_a_prompt_in_which_the_tokenizer_reads_nothing_is_refused():
    tokenizer = make_tokenizer("WordPiece")
    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer()
    lm = LanguageModel(make_tiny("llama"), tokenizer, "tiny")
    assert lm.encode("a dog")[0]
    with pytest.raises(InputError, match="tiny reads nothing in that prompt"):
        lm.encode("\u200b")
    with pytest.raises(InputError, match="tiny reads nothing in that text"):
        read_text(lm, "\u200b")
