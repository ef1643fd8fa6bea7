"""Example prompts and texts of the app, all our own writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EXAMPLE_PROMPTS = (
    "My life is",
    "The new neighbours turned out to be",
    "I opened the letter and",
    "To be honest, the concert last night was",
    "The king looked at his daughter and said:",
)

EXAMPLE_EPSILON = 1.5


@dataclass(frozen=True)
class ExampleText:
    """A text to highlight, with the steer and unit that show its point, and the point itself."""

    label: str
    text: str
    steer: str
    unit: Literal["tokens", "words", "sentences"]
    seen: str
    second: str = ""


EXAMPLE_TEXTS = (
    ExampleText(
        "A change of mind",
        "The kitchen was dirty, the waiter was rude and the soup was cold. Still, the view over the bay was "
        "wonderful, the bread was warm, and the children laughed all evening. We would love to come back.",
        "sentiment",
        "words",
        "Complaint first, praise after, and both rest on a few words. Choose sentences to see the turn; the "
        "text as a whole speaks for an ε close to 0.",
    ),
    ExampleText(
        "Two worlds in one text",
        "We need to align the stakeholders before the quarterly review and leverage our core competencies "
        "going forward. Then the goat got out again, so I mended the fence and brought in the hay before "
        "the rain.",
        "corporate",
        "words",
        "Evidence sits on a few words, such as leverage and goat; the words between say next to nothing.",
    ),
    ExampleText(
        "Praise by negation",
        "The film was not good, not funny and not clever. I did not enjoy it. It was not bad either, not "
        "stupid, and I was never bored.",
        "sentiment",
        "sentences",
        "The last sentence is the kindest, yet it speaks most for negative: a steer weighs the words, not "
        "what “not” makes of them.",
    ),
    ExampleText(
        "Irony and plain words",
        "Oh great, another flat tyre. What a wonderful way to start my birthday. I just love standing in the "
        "rain, and the lovely man from the garage says he will be here in only four hours. Perfect.",
        "sentiment",
        "words",
        "One bad day told twice: the ironic text reads as positive, because irony is not in the words.",
        second="I had another flat tyre on my birthday. I stood in the rain for four hours until the man "
        "from the garage came.",
    ),
)
"""Each was chosen for what the embedded model's steers show on it."""

STARTING_POINTS = {
    "Cosy fireside": (
        "a warm, cosy story told by the fireside",
        "a cold, dry technical report",
    ),
    "Sports commentator": (
        "a breathless sports commentator as the winning goal goes in",
        "a calm librarian explaining the opening hours",
    ),
    "Ghost story": (
        "a chilling ghost story from an empty house at midnight",
        "a cheerful brochure for a family holiday",
    ),
    "Bureaucrat": (
        "a stiff official letter about forms, regulations and deadlines",
        "a chatty message to an old friend",
    ),
    "Sea captain": (
        "an old sea captain's tale of storms, ships and salt water",
        "a banker's memo about money and meetings",
    ),
    "Proud cook": (
        "a proud cook describing spices and a busy kitchen",
        "an engineer describing machines and wiring",
    ),
}
"""Two descriptions each: more like, less like."""

EXAMPLES_MORE = """\
Could you possibly spare a moment when it suits you? I should be most grateful.
Thank you so very much for your kind letter; it was a pleasure to read.
Would you mind terribly if I opened the window a little?
Please do forgive the delay, and let me know how I may help.
It was so thoughtful of you to ask; I would be delighted to come."""

EXAMPLES_LESS = """\
Move it. I have no time for this.
Why is this still not done? Fix it now.
Shut the door, it's freezing, and stop complaining.
Nobody asked you. Just read the manual.
You are late again. Sit down and get to work."""
