"""Example prompts and texts of the app, all our own writing."""

EXAMPLE_PROMPTS = (
    "My life is",
    "The new neighbours turned out to be",
    "I opened the letter and",
    "To be honest, the concert last night was",
    "The king looked at his daughter and said:",
)

EXAMPLE_EPSILON = 2.0

EXAMPLE_TEXTS = (
    "The morning was glorious: sunlight on the water, friends around the table, and a wonderful smell of "
    "bread. Then the bill came, and it was a disaster.",
    "The kitchen was dirty, the waiter was rude and the soup was cold. Still, the view over the bay made "
    "us love the place.",
    "Good morrow, my lord. If thou hast seen my brother, pray tell me whither he is gone, for I must "
    "speak with him before we catch the bus.",
)
