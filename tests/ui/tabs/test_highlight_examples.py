"""What the examples of the Highlight tab say is what the embedded model's steers do."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from lmsteer_core import LanguageModel, read_text
from lmsteer_core.analysis.spans import UnitKind, units
from lmsteer_core.analysis.style_reading import StyleReading, read_styles
from lmsteer_core.ui.tabs.examples import EXAMPLE_TEXTS
from lmsteer_core.workbench import Workbench

EXAMPLES = {example.label: example for example in EXAMPLE_TEXTS}


class Seen(NamedTuple):
    styles: dict[str, StyleReading]
    strength: float
    units: list[tuple[str, float]]


def seen(workbench: Workbench, lm: LanguageModel, label: str, kind: UnitKind, second=False) -> Seen:
    """Read an example by every steer; units are in σ, the strongest first."""
    example = EXAMPLES[label]
    read = read_text(lm, example.second if second else example.text)
    styles = read_styles(lm, read, list(workbench.steers.values()))
    by_name = dict(zip(workbench.steers, styles, strict=True))
    chosen = by_name[example.steer]
    scores = [score / chosen.base_rate.deviation for score in chosen.scores]
    found = [
        (unit.text.strip(",.;"), unit.evidence) for unit in units(read.token_texts, scores, kind)
    ]
    return Seen(by_name, chosen.strength, sorted(found, key=lambda unit: -abs(unit[1])))


def test_the_change_of_mind_turns_and_balances(workbench, lm) -> None:
    sentences = dict(seen(workbench, lm, "A change of mind", "sentences").units)
    first, second = (
        next(value for text, value in sentences.items() if text.startswith(start))
        for start in ("The kitchen", "Still")
    )
    assert first < -10 < 10 < second
    words = seen(workbench, lm, "A change of mind", "words")
    assert words.units[0][0] == "wonderful" and words.strength > 2


def test_two_worlds_rest_on_a_few_words(workbench, lm) -> None:
    example = seen(workbench, lm, "Two worlds in one text", "words")
    words = dict(example.units)
    assert words["stakeholders"] > 4 and words["goat"] < -4
    assert example.strength > 2


def test_then_and_now_are_told_apart(workbench, lm) -> None:
    example = seen(workbench, lm, "Then and now", "words")
    assert [word for word, _ in example.units[:3]] == ["thee", "thou", "art"]
    words = dict(example.units)
    assert words["get"] < -4 and words["thanks"] > 1
    assert max(example.styles.values(), key=lambda s: abs(s.strength)).name == "shakespeare"


def test_an_insult_and_thanks_are_told_apart(workbench, lm) -> None:
    insult = seen(workbench, lm, "Insult and thanks", "words")
    thanks = seen(workbench, lm, "Insult and thanks", "words", second=True)
    assert {word for word, _ in insult.units[:3]} == {"nobody", "idiot", "stupid"}
    assert all(abs(dict(insult.units)[word]) < 2 for word in ("clown", "Shut"))
    assert [word for word, _ in thanks.units[:2]] == ["appreciate", "thoughtful"]
    assert insult.strength < -2 < 2 < thanks.strength


def test_what_the_lens_cannot_see_stays_so(workbench, lm) -> None:
    text, value = seen(workbench, lm, "Praise by negation", "sentences").units[0]
    assert text.startswith("It was not bad") and value < -10
    assert seen(workbench, lm, "Irony and plain words", "words").strength > 2
    assert seen(workbench, lm, "Irony and plain words", "words", second=True).strength < -2


def test_plain_text_is_plain(workbench, lm) -> None:
    example = seen(workbench, lm, "Plain text", "words")
    assert abs(example.strength) < 1
    assert abs(example.units[0][1]) < 3
    strengths = [abs(style.strength) for style in example.styles.values()]
    assert max(strengths) < 3.5
    assert sum(strengths) / len(strengths) < 1.2


@pytest.mark.parametrize("example", EXAMPLE_TEXTS, ids=lambda example: example.label)
def test_an_example_names_a_steer_that_ships(workbench, example) -> None:
    assert example.steer in workbench.steers
