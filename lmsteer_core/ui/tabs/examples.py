"""What the app opens with and offers: our own writing, chosen by what the embedded model does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lmsteer_core.generation.sampling import Sampling

DEFAULT_SAMPLING = Sampling(temperature=0.9, top_p=0.95, max_new_tokens=48, seed=3)


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
        "The kitchen was dirty, the waiter was rude and the soup was cold. Still, the view over "
        "the bay was wonderful, the bread was warm, and the children laughed all evening. We "
        "would love to come back.",
        "sentiment",
        "words",
        "Complaint first, praise after, and both rest on a few words. Choose sentences to see the "
        "turn; the praise weighs more, and most of that is one word, wonderful.",
    ),
    ExampleText(
        "Two worlds in one text",
        "We need to align the stakeholders before the quarterly review and leverage our core "
        "competencies going forward. Then the goat got out again, so I mended the fence and "
        "brought in the hay before the rain.",
        "corporate",
        "words",
        "A few words carry it, such as stakeholders and goat; most of those between say next to "
        "nothing. The boardroom wins.",
    ),
    ExampleText(
        "Then and now",
        "Good my lord, I pray thee stay a while; the night is cold and thou art weary. No thanks, "
        "I have to get up early tomorrow.",
        "shakespeare",
        "words",
        "thee, thou and art are what a reader would mark. Of the answer, get speaks for our own "
        "time; thanks is taken for the lord's.",
    ),
    ExampleText(
        "Insult and thanks",
        "You are a pathetic little idiot and nobody likes you. Shut up and go away, you stupid "
        "clown.",
        "detoxification",
        "words",
        "The insult rests on nobody, idiot and stupid, the thanks on appreciate and thoughtful. It "
        "errs too: clown and Shut stay plain.",
        second="Thank you for the thoughtful comment, I really appreciate your help.",
    ),
    ExampleText(
        "Praise by negation",
        "The film was not good, not funny and not clever. I did not enjoy it. It was not bad "
        "either, not stupid, and I was never bored.",
        "sentiment",
        "sentences",
        "The last sentence is the kindest, yet it reads as the most negative: what is read are "
        "the words, not what “not” makes of them.",
    ),
    ExampleText(
        "Irony and plain words",
        "Oh great, another flat tyre. What a wonderful way to start my birthday. I just love "
        "standing in the rain, and the lovely man from the garage says he will be here in "
        "only four hours. Perfect.",
        "sentiment",
        "words",
        "One bad day told twice: the ironic text reads as positive, because "
        "irony is not in the words.",
        second=(
            "I had another flat tyre on my birthday. I stood in the rain for four hours until the "
            "man from the garage came."
        ),
    ),
    ExampleText(
        "Plain text",
        "The train to the coast leaves at nine. It passes two small stations and arrives before "
        "lunch; tickets are sold in the hall.",
        "sentiment",
        "words",
        "For comparison: no style that one would name. Tints are faint and the profile is nearly "
        "flat; whatever your text has beyond this is its own.",
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


@dataclass(frozen=True)
class NextWordExample:
    """Curves of the next word.

    Attributes:
        label: What its button says.
        steer: The steer on the axis.
        prompt: What is continued.
        lesson: What to look for.
        epsilon: Where the slider stands.
        follow: Words to follow besides.
        held: A steer to hold, and its ε.
    """

    label: str
    steer: str
    prompt: str
    lesson: str
    epsilon: float
    follow: tuple[str, ...] = ()
    held: tuple[str, float] | None = None


NEXT_WORD_EXAMPLES = (
    NextWordExample(
        "A film review",
        "sentiment",
        "The movie was absolutely",
        "“terrible” rises towards − only until a plainer word outgrows it: the curves share one "
        "whole, so a word can fall although the steer favours it.",
        1.0,
        ("terrible",),
    ),
    NextWordExample(
        "Contractions",
        "formality",
        "Thank you so much, I",
        "One word changes hands: casual “I'm”, formal “I am”. They cross at an ε you can read off.",
        1.0,
    ),
    NextWordExample(
        "Every morning",
        "pirate",
        "Every morning I go to the",
        "The clerk goes to the office, the pirate to sea; the gym belongs to "
        "neither and peaks between.",
        2.0,
        ("ship",),
    ),
    NextWordExample(
        "Thee and you",
        "shakespeare",
        "I will not speak with",
        "“you” gives way to “them” and “him”. “thee” grows hundreds of times over where the steer "
        "is useful, yet comes into sight only at the end: tick the logarithmic scale to see it "
        "climb.",
        2.0,
        ("thee",),
    ),
    NextWordExample(
        "A headline",
        "clickbait",
        "You won't believe",
        "The news reports on “it” and “the” matter; clickbait talks to “you”.",
        1.0,
    ),
    NextWordExample(
        "Two steers",
        "sentiment",
        "At dawn they saw a",
        "pirate is held at +1 and makes “ship” likely; sentiment on the axis sweeps it away "
        "towards +ε. Set the held ε to 0 to see what it did.",
        -1.0,
        ("ship",),
        ("pirate", 1.0),
    ),
)


@dataclass(frozen=True)
class WordsExample:
    """A view that teaches something, found by looking at the embedded model's steers."""

    label: str
    steer: str
    reading: Literal["Divergence", "SVD of W", "PCA of W e"]
    x: int
    y: int
    pins: str
    epsilon: float
    lesson: str


WORDS_EXAMPLES = (
    WordsExample(
        "Praise and blame",
        "sentiment",
        "Divergence",
        1,
        2,
        "wonderful, love, terrible, hate, worse",
        2,
        "One dimension holds over half of this steer, and its + end is praise. The − end is not "
        "what you may expect: 'worse' and 'wrong' are there, but 'terrible' lies in the middle. A "
        "steer is what its texts taught it, not what its name says.",
    ),
    WordsExample(
        "Sea and office",
        "pirate",
        "PCA of W e",
        1,
        2,
        "ship, captain, treasure, rum, meeting, office",
        2.5,
        "Drag ε: one axis parts the ship from the office. 'treasure' goes along, 'rum' does not: "
        "this pirate learned the sea and its ships, not the bottle.",
    ),
    WordsExample(
        "Same meaning, other register",
        "formality",
        "SVD of W",
        1,
        2,
        "kids, children, buy, purchase, gonna, shall",
        2,
        "Compare the pairs kids and children, buy and purchase, gonna and shall: they "
        "mean the same, yet the first dimension sets each apart. 'children' is at 0: "
        "it is plain, not formal.",
    ),
    WordsExample(
        "Two styles in one steer",
        "shakespeare",
        "PCA of W e",
        1,
        2,
        "thou, thee, you, king, lady, company, policy",
        3,
        "The first axis is how one speaks (thou, not you), the second whom one speaks of "
        "(kings, not companies): a steer learns whatever its texts share. Try either "
        "alone below.",
    ),
)


@dataclass(frozen=True)
class PlaneExample:
    """A pair of steers and a word that teach something, and what."""

    label: str
    prompt: str
    across: str | None
    up: str | None
    point: tuple[float, float]
    word: str
    lesson: str = ""


PLANE_EXAMPLES = (
    PlaneExample(
        "Praise in a dinner jacket",
        "The food at the restaurant was",
        "sentiment",
        "formality",
        (1.4, 1.8),
        "exceptional",
        "“exceptional” is both glad and formal: it is likely in one corner only. Try “amazing”, "
        "“unacceptable” and “bad” for the other three.",
    ),
    PlaneExample(
        "The boss at sea",
        "They put him in charge of the",
        "corporate",
        "pirate",
        (1.5, 2.2),
        "crew",
        "The boardroom alone puts him in charge of a “company”, the pirate alone of a “ship”; "
        "where both moves add up the “crew” comes within reach: a team, and at sea.",
    ),
    PlaneExample(
        "No good pirates",
        "My neighbour is a",
        "sentiment",
        "pirate",
        (-1.5, 2.0),
        "pirate",
        "A word has a place on both axes: a “pirate” is no good neighbour, so the pirate steer "
        "brings it and + sentiment drives it away. Try “beautiful” and “corporate”.",
    ),
    PlaneExample(
        "Negative and clean",
        "The food at the restaurant was",
        "sentiment",
        "detoxification",
        (-2.5, 2.0),
        "bad",
        "A bad review without abuse, the paper's diagonal case: sentiment says what is felt, "
        "detoxification how it is said.",
    ),
)
