"""Ten pairs of descriptions that nobody tuned anything for: does each make a usable steer?

    python -m benchmarks.ten_descriptions --out FILE.jsonl [--judge-model gemma]
    python -m benchmarks.ten_descriptions --out FILE.jsonl --report

The pairs, the prompts and the criterion below were committed before the first run; none has been
changed since. Each pair is trained once with the defaults and measured on prompts that no
calibration reads, at ε = 0, at two thirds of either limit of its useful range, and at both limits.

    visible   the style's difference between the two signs is at least 4 standard errors, paired
              over the prompts, with the sign that the descriptions ask for
    fluent    the pair's perplexity (geometric mean of both signs) is at most 1.5 × the unsteered,
              and neither sign repeats more than 10 % more words

A pair of descriptions passes if it is visible and fluent at two thirds of its limits. The limits
themselves are where the calibration, on 12 prompts, found exactly these costs, so that new prompts
fall to either side of them by chance; they are reported beside. Style is the log-odds of the two
descriptions under the model itself and, with --judge-model, under another model as well.

One line a pair is written when it is done; a second call goes on where the first stopped.
"""

from __future__ import annotations

PAIRS = {
    "sailor": ("a weathered fisherman talking about the sea", "an accountant talking about the office"),
    "noir": ("a hard-boiled detective story full of shadows and rain", "a sunny picture book for toddlers"),
    "science": ("a careful scientific report with measurements", "a fairy tale with magic and dragons"),
    "anxious": ("the thoughts of a nervous, worried person", "the thoughts of a calm, relaxed person"),
    "victorian": ("a letter from a Victorian lady to her cousin", "a text message from a teenager today"),
    "command": ("a drill sergeant shouting short orders", "a gentle yoga teacher inviting you to breathe"),
    "nostalgia": ("an old man remembering his childhood", "an engineer predicting the distant future"),
    "doubt": ("cautious words that hedge every claim", "bold words that are certain of every claim"),
    "kitchen": ("a passionate chef describing a dish", "a lawyer describing a contract"),
    "legend": ("an ancient epic about heroes, gods and war", "a modern manual for a washing machine"),
}
"""(+ pole, − pole) by the steer's name."""

SAMPLE_PROMPT = "When the door opened,"
"""What the samples for a reader continue, always with seed 0."""

_SUBJECTS = ("My neighbour", "Her brother", "Their new manager", "Somebody from the village",
             "Our teacher", "A young couple", "Two strangers", "Nobody in the room")  # fmt: skip
_BEGINNINGS = ("had decided that", "told me about", "was looking at", "could not find",
               "came back with", "wanted to")  # fmt: skip
PROMPTS = [f"{subject} {beginning}" for subject in _SUBJECTS for beginning in _BEGINNINGS]
"""48 beginnings; the calibration's are sampled from the model."""

MIN_STANDARD_ERRORS = 4.0
MAX_PERPLEXITY_RATIO = 1.5
MAX_MORE_REPETITION = 0.1
