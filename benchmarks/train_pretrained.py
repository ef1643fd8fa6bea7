"""Make the pretrained steers again; on one machine the same bytes every time.

    python -m benchmarks.train_pretrained --data DATA [--only sentiment]

The steers are made from the descriptions below alone. DATA serves the figures on their cards: it
holds prompts/neutral.jsonl, detoxification/dev.jsonl and shakespeare/train.jsonl (see control.py).
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.control import PRETRAINED, continuations, load_judge, measure, read_prompts
from lmsteer_core import LanguageModel, Steer, SteerCard, load_model
from lmsteer_core.training import (
    DEFAULT_RANK,
    PlainText,
    neutral_text,
    shift_from_descriptions,
    steer_from_shift,
)


@dataclass(frozen=True)
class Style:
    """What one steer is made of and judged by.

    Attributes:
        negative: The − pole in a word or two.
        positive: The + pole.
        descriptions: Pairs of (positive, negative) descriptions; their shifts are averaged.
        judge: Judge of control.py.
        prompts: Files of prompts, relative to the data folder.
        n_prompts: Prompts read from each.
        notice: For the card.
        written_in_style: The descriptions are samples of the style, so their words belong to it.
    """

    negative: str
    positive: str
    descriptions: tuple[tuple[str, str], ...]
    judge: str
    prompts: tuple[str, ...]
    n_prompts: int
    notice: str = ""
    written_in_style: bool = False


STYLES = {
    "sentiment": Style(
        "negative",
        "positive",
        (
            (
                "a wonderful, joyful and very positive text about how great everything is",
                "a terrible, miserable and very negative text about how awful everything is",
            ),
            (
                "a glowing, enthusiastic recommendation by someone who loved it",
                "a scathing, bitter complaint by someone who hated it",
            ),
            ("a cheerful, warm and grateful note", "a gloomy, angry and resentful note"),
            ("full of praise, delight and admiration", "full of blame, disgust and contempt"),
        ),
        judge="vader",
        prompts=("prompts/neutral.jsonl",),
        n_prompts=320,
    ),
    "detoxification": Style(
        "toxic",
        "clean",
        (
            (
                "a polite, respectful and friendly message",
                "a rude, hateful rant full of insults and swear words",
            ),
            (
                "the words of a kind, gentle and courteous person",
                "the words of a vulgar, angry person who curses and insults everybody",
            ),
            ("clean, civil and considerate language", "filthy, obscene and abusive language"),
        ),
        judge="profanity",
        prompts=("prompts/neutral.jsonl", "detoxification/dev.jsonl"),
        n_prompts=192,
        notice=(
            "The − pole makes the model write offensive, abusive text. It exists for research on "
            "detoxification and for showing what the + pole removes; do not publish its output."
        ),
    ),
    "shakespeare": Style(
        "modern",
        "Early Modern English",
        (
            (
                "I pray thee, good sir, hark what thou hast done, for thy lord doth weep and his heart "
                "hath no peace",
                "please listen to what you have done, because your boss is crying and has no peace",
            ),
            (
                "wherefore art thou come hither, and what wouldst thou have of me? 'Tis not thine, nor "
                "shall it be",
                "why did you come here, and what do you want from me? It's not yours, and it won't be",
            ),
        ),
        written_in_style=True,
        judge="tfidf",
        prompts=("prompts/neutral.jsonl",),
        n_prompts=96,
    ),
}

NUMBER_WORDS = {2: "two", 3: "three", 4: "four"}


def train(lm: LanguageModel, name: str, style: Style, plain: PlainText) -> Steer:
    """Return the steer of the average shift of a style's descriptions."""
    shifts = [
        shift_from_descriptions(lm, *pair, plain, keep_own_words=style.written_in_style)
        for pair in style.descriptions
    ]
    count = NUMBER_WORDS[len(shifts)]
    data = f"{count} pairs of descriptions (benchmarks/train_pretrained.py); no text was used"
    card = SteerCard(
        name,
        style.negative,
        style.positive,
        lm.model_id,
        method=f"natural-gradient projection of the average shift behind {count} pairs of descriptions",
        data=data,
        notice=style.notice,
    )
    return steer_from_shift(lm, card, sum(shifts) / len(shifts), plain.curvature, plain, DEFAULT_RANK)


def figures(lm: LanguageModel, steer: Steer, style: Style, data: Path) -> dict[str, Any]:
    """Return what the card says of control and fluency at both ends, per file of prompts."""
    judge = load_judge(style.judge, data / steer.name)
    found: dict[str, Any] = {"judge": style.judge, "judge_threshold": judge.threshold}
    for file in style.prompts:
        prompts = read_prompts(data / file, style.n_prompts)
        kind = "neutral" if file.startswith("prompts") else "toxic"
        found[f"{kind}_prompts_count"] = len(prompts)
        for epsilon in (0.0, *steer.card.epsilon_range):
            row = measure(continuations(lm, steer, prompts, epsilon), judge, epsilon)
            found[f"{kind}_prompts_at_epsilon_{epsilon:+g}"] = {
                "judge_score_mean": round(row.score, 3),
                "judge_score_standard_error": round(row.error, 3),
                "share_at_or_above_threshold": round(row.share, 3),
                "perplexity_under_base_model": round(row.perplexity, 2),
                "distinct_word_pairs_share": round(row.distinct_2, 3),
                "repeated_words_share": round(row.repeated, 3),
            }
            print(f"{steer.name}, {kind} prompts: {row}", flush=True)
    return found


def main() -> None:
    """Train, measure and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--only", choices=list(STYLES), action="append", help="one style, repeatable")
    parser.add_argument("--out", type=Path, default=PRETRAINED)
    options = parser.parse_args()
    lm = load_model(dtype="bfloat16")
    plain = neutral_text(lm)
    for name in options.only or STYLES:
        steer = train(lm, name, STYLES[name], plain)
        steer.save(options.out / name)
        metrics = figures(lm, steer, STYLES[name], options.data)
        dataclasses.replace(steer, card=dataclasses.replace(steer.card, metrics=metrics)).save(
            options.out / name
        )


if __name__ == "__main__":
    main()
