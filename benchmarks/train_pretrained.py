"""Make the pretrained steers again; on one machine the same bytes every time.

    python -m benchmarks.train_pretrained --data DATA [--only sentiment] [--model gemma]
        [--described]

The steers are made from the descriptions below, and from labelled text where a style has a weight
for it. DATA serves the figures on their cards too: it holds prompts/neutral.jsonl and a folder per
judged style with train.jsonl and dev.jsonl (see control.py).
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.control import PRETRAINED, continuations, judge_by_name, measure
from benchmarks.train_readers import read_with
from lmsteer_core import (
    Combined,
    Descriptions,
    LabelledText,
    LanguageModel,
    Steer,
    SteerCard,
    load_model,
    train,
)
from lmsteer_core.evaluation.judges import Judge
from lmsteer_core.evaluation.prompts import read_prompts
from lmsteer_core.models.packages import EMBEDDED
from lmsteer_core.steers.reader import READER_FILE
from lmsteer_core.training.labelled_file import read_labelled
from lmsteer_core.training.sources.source import Source

N_CALIBRATION_PROMPTS = 32


@dataclass(frozen=True)
class Style:
    """What one steer is made of and judged by.

    Attributes:
        negative: The − pole in a word or two.
        positive: The + pole.
        descriptions: Pairs of (positive, negative) descriptions; their shifts are averaged.
        judge: Judge of control.py, or "described": the model's own log-odds of the descriptions.
        prompts: Files of prompts, relative to the data folder.
        n_prompts: Prompts read from each.
        notice: For the card.
        written_in_style: The descriptions are samples of the style, so their words belong to it.
        data_weight: Share of the labelled text of the style's folder.
    """

    negative: str
    positive: str
    descriptions: tuple[tuple[str, str], ...]
    judge: str = "described"
    prompts: tuple[str, ...] = ("prompts/neutral.jsonl",)
    n_prompts: int = 128
    notice: str = ""
    written_in_style: bool = False
    data_weight: float = 0.0


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
        data_weight=0.3,
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
        data_weight=0.3,
        judge="profanity",
        prompts=("prompts/neutral.jsonl", "detoxification/dev.jsonl"),
        n_prompts=128,
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
                (
                    "I pray thee, good sir, hark what thou hast done, for thy lord doth weep and "
                    "his heart hath no peace"
                ),
                "please listen to what you have done, because your boss is crying and has no peace",
            ),
            (
                (
                    "wherefore art thou come hither, and what wouldst thou have of me? 'Tis "
                    "not thine, nor shall it be"
                ),
                (
                    "why did you come here, and what do you want from me? It's "
                    "not yours, and it won't be"
                ),
            ),
        ),
        written_in_style=True,
        data_weight=0.3,
        judge="tfidf",
    ),
    "clickbait": Style(
        "news",
        "clickbait",
        (
            (
                "a gushing clickbait teaser with a list of things you need to see right now",
                "a sober report by a news agency about a government, a court or a company",
            ),
            (
                "chatty internet gossip that talks to you and promises an amazing surprise",
                "an impersonal news report of facts, figures and official statements",
            ),
        ),
        data_weight=0.3,
        judge="tfidf",
    ),
    "subjectivity": Style(
        "plain fact",
        "opinion",
        (
            (
                "a personal opinion in which a critic says what they think and feel about it",
                "a plain statement of who did what, where and when, without any judgement",
            ),
            (
                "an essay full of judgements, praise and blame, and the author's taste",
                "a neutral summary of events in the order in which they happened",
            ),
        ),
        data_weight=0.3,
        judge="tfidf",
    ),
    "formality": Style(
        "casual",
        "formal",
        (
            (
                "an official letter in formal, courteous and impersonal English",
                "a text message to a close friend, in slang, really casual",
            ),
            (
                "a scholarly article with long, precise and carefully argued sentences",
                "relaxed small talk among mates who are hanging out and joking",
            ),
            (
                "We hereby request that the committee consider the aforementioned proposal at its "
                "earliest convenience",
                "hey guys, so yeah, gonna grab some pizza, wanna come? it's gonna be super fun lol",
            ),
        ),
    ),
    "simplicity": Style(
        "intricate",
        "simple",
        (
            (
                "a story for small children, told in short, easy words that everybody knows",
                "a dense academic treatise in long, rare and technical words for specialists",
            ),
            (
                "an explanation in very simple words for someone who is learning the language",
                "an elaborate legal and philosophical argument full of abstract terms",
            ),
        ),
    ),
    "pirate": Style(
        "office clerk",
        "pirate at sea",
        (
            (
                (
                    "Arr, matey! Hoist the sails, ye scurvy dogs, for there be gold "
                    "and rum aboard yon ship"
                ),
                (
                    "Hello, colleague. Please file the forms, everyone, because there is a "
                    "meeting at the office today"
                ),
            ),
            (
                "a yarn told by an old pirate captain about his crew, the sea, treasure and rum",
                "a memo by an office clerk about his desk, the schedule, forms and coffee",
            ),
        ),
        written_in_style=True,
    ),
    "corporate": Style(
        "farmer",
        "boardroom",
        (
            (
                (
                    "Going forward, we will leverage our core competencies to drive synergies and "
                    "deliver scalable solutions for key stakeholders"
                ),
                "From now on we will do what we are good at, help each other and make things that "
                "people like",
            ),
            (
                "a management consultant's strategy presentation about transformation and growth",
                (
                    "what a farmer tells his neighbour over the garden fence about "
                    "the weather and the cow"
                ),
            ),
        ),
        written_in_style=True,
    ),
}


GEMMA_NOTICE = (
    "The file holds sixteen rows of Gemma's output embedding, so that it knows its model: "
    "Gemma terms of use apply."
)


def source_of(style: Style, data: Path) -> Combined:
    """Return a style's descriptions, all of one weight, and its labelled text if it has a share."""
    described = [
        Descriptions(*pair, keep_own_words=style.written_in_style) for pair in style.descriptions
    ]
    share = (1 - style.data_weight) / len(described)
    parts: list[tuple[Source, float]] = [(source, share) for source in described]
    if style.data_weight:
        found = read_labelled(data / "train.jsonl")
        parts.append((LabelledText(found.texts, found.labels), style.data_weight))
    return Combined(parts)


def data_line(source: Combined, style: Style) -> str:
    """Return what the card says a steer was made from."""
    pairs = f"{len(style.descriptions)} pairs of descriptions"
    if not style.data_weight:
        return f"{pairs}, no text"
    labelled = source.parts[-1][0]
    return f"{pairs} ({1 - style.data_weight:.0%}) and {labelled.summary} ({style.data_weight:.0%})"


def figures(
    lm: LanguageModel, steer: Steer, style: Style, source: Source, data: Path
) -> dict[str, Any]:
    """Return what the card says of control and fluency at both ends, per file of prompts."""
    judge = (
        Judge(source.style_score(lm), 0.0)
        if style.judge == "described"
        else judge_by_name(style.judge, data / steer.name)
    )
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
                "tokens_mean": round(row.tokens, 1),
                "ended_early_share": round(row.ended, 3),
            }
            print(f"{steer.name}, {kind} prompts: {row}", flush=True)
    return found


def main() -> None:
    """Train, measure and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument(
        "--only", choices=list(STYLES), action="append", help="one style, repeatable"
    )
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--out", type=Path, help="default: the model's folder of pretrained steers")
    parser.add_argument(
        "--described", action="store_true", help="from the descriptions alone, no labels"
    )
    options = parser.parse_args()
    lm = load_model(options.model, dtype="bfloat16")
    flags = [f" --model {options.model}"] * (options.model != EMBEDDED) + [
        " --described"
    ] * options.described
    out = options.out or PRETRAINED.parent / lm.model_id.lower()
    for name in options.only or STYLES:
        style = STYLES[name]
        if options.described:
            style = dataclasses.replace(style, data_weight=0.0)
        source = source_of(style, options.data / name)
        steer = train(
            lm,
            name,
            source,
            poles=(style.negative, style.positive),
            notice=style.notice,
            n_prompts=N_CALIBRATION_PROMPTS,
        )
        metrics = {**steer.card.metrics, **figures(lm, steer, style, source, options.data)}
        card = dataclasses.replace(steer.card, metrics=metrics, data=data_line(source, style))
        steer = with_reader(dataclasses.replace(steer, card=card), out / name)
        folder = steer.save(out / name)
        (folder / "README.md").write_text(
            readme(steer.card, style, "".join(flags)), encoding="utf-8"
        )


def with_reader(steer: Steer, folder: Path) -> Steer:
    """Return a steer with the reader of the one that it replaces, which was learned beside W."""
    if not (folder / READER_FILE).is_file():
        return steer
    before = Steer.load(folder)
    card = dataclasses.replace(steer.card, reading=before.card.reading)
    return dataclasses.replace(steer, card=card, reader=before.reader)


def readme(card: SteerCard, style: Style, flags: str) -> str:
    """Return what the steer's folder says of it: source, figures, how to make it again."""
    judge = card.metrics["judge"]
    rows = []
    for kind in ("neutral", "toxic"):
        for key, row in card.metrics.items():
            if key.startswith(f"{kind}_prompts_at_epsilon_"):
                rows.append(
                    f"| {kind} | {key.rpartition('_')[2]} | {row['judge_score_mean']:.3f} ± "
                    f"{row['judge_score_standard_error']:.3f} | "
                    f"{row['perplexity_under_base_model']:.1f} | "
                    f"{row['repeated_words_share']:.3f} | {row['tokens_mean']:.1f} |"
                )
    pairs = "\n".join(f"- + {plus}\n- − {minus}" for plus, minus in style.descriptions)
    low, high = card.epsilon_range
    return "\n".join(
        [
            f"# {card.name}: {card.negative} ↔ {card.positive}",
            "",
            *([f"**{card.notice}**", ""] if card.notice else []),
            (
                f"A steer of rank {card.rank} for {card.model_id}, useful from ε = {low:g} to "
                f"{high:g}, made from {card.data}:"
            ),
            "",
            pairs,
            "",
            *([GEMMA_NOTICE, ""] if card.model_id.startswith("gemma") else []),
            f"Continuations of 20 tokens; judge: {judge}.",
            "",
            (
                "| prompts | ε | judge's mean ± standard error | base model's "
                "perplexity | repeated words | tokens |"
            ),
            "|---|---|---|---|---|---|",
            *rows,
            "",
            (
                "Remake it: `python -m benchmarks.train_pretrained --data DATA "
                f"--only {card.name}{flags}`"
            ),
            "",
            *([read_with(card), ""] if card.reading else []),
        ]
    )


if __name__ == "__main__":
    main()
