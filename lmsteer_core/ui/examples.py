"""Example prompts and texts of the app, all our own writing."""

EXAMPLE_PROMPTS = (
    "My life is",
    "The new neighbours turned out to be",
    "I opened the letter and",
    "To be honest, the concert last night was",
    "The king looked at his daughter and said:",
)

EXAMPLE_EPSILON = 1.5

EXAMPLE_TEXTS = (
    "The morning was glorious: sunlight on the water, friends around the table, and a wonderful smell of "
    "bread. Then the bill came, and it was a disaster.",
    "The kitchen was dirty, the waiter was rude and the soup was cold. Still, the view over the bay made "
    "us love the place.",
    "Good morrow, my lord. If thou hast seen my brother, pray tell me whither he is gone, for I must "
    "speak with him before we catch the bus.",
)

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
