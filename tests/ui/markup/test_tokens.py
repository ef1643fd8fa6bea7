import math

from lmsteer_core.generation.live_row import Token
from lmsteer_core.ui.markup import tokens as token_markup
from lmsteer_core.ui.markup import widgets
from lmsteer_core.ui.markup.format import epsilon_text


def token(text: str, shift: float = 0.0, *, id: int = 0) -> Token:
    return Token(id, text, math.log(0.1) + shift, math.log(0.1))


def continuation(prompt: str, *tokens: Token) -> str:
    text = token_markup.Continuation(prompt)
    for each in tokens:
        text.add(each)
    return text.html()


def test_user_and_model_text_is_escaped() -> None:
    html = continuation("<script>", token("<b>", 1.0))
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "<script>" not in widgets.note("<script>", "error")


def test_a_stronger_shift_is_a_stronger_tint_up_to_the_full_one() -> None:
    strengths = [
        token_markup.tinted("a", nats, "").split("--t:")[1][:4] for nats in (0.0, 1.0, -2.0, 99.0)
    ]
    assert strengths == ["0.00", "0.25", "0.50", "1.00"]


def test_the_sign_of_a_shift_is_its_class() -> None:
    assert 'class="tok plus"' in token_markup.tinted("a", 1.0, "")
    assert 'class="tok minus"' in token_markup.tinted("a", -1.0, "")
    assert 'class="tok"' in token_markup.tinted("a", 0.0, "")


def test_the_space_before_a_word_is_outside_its_tint() -> None:
    assert token_markup.tinted(" word", 1.0, "").startswith(" <span")
    assert ">\n</span>" in token_markup.tinted("\n", 1.0, "")


def test_a_character_of_several_tokens_shows_the_sum_of_their_shifts() -> None:
    assert "+3.00 nats" in continuation("p", token("", 1.0), token("🍲", 2.0))


def test_first_difference_is_by_token_and_counts_an_early_end() -> None:
    a, b, c = (token("x", id=i) for i in (1, 2, 3))
    assert token_markup.first_difference([a, b], [a, c]) == 1
    assert token_markup.first_difference([a, b], [a, b]) is None
    assert token_markup.first_difference([a], [a, b]) == 1


def test_epsilons_carry_a_real_minus_and_zero_no_sign() -> None:
    assert [epsilon_text(e) for e in (-1.5, 0.0, 2.0)] == ["−1.5", "0", "+2"]
