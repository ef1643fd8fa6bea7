"""Ordinary text of many kinds: what a reading of style is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from lmsteer_core.errors import ModelError
from lmsteer_core.models.batched import (
    expected_embedding,
    hidden_states,
    next_word,
    tokens_per_chunk,
)
from lmsteer_core.models.language_model import LanguageModel

SENTENCES = (
    # news and notices
    "The council will decide in March whether the old swimming pool can be repaired.",
    "About two hundred people came to the opening of the new station on Saturday.",
    "Prices for wheat rose slightly last month, the agency said on Thursday.",
    "The road between the two villages will be closed for three weeks.",
    "Three candidates have put their names forward for the post of treasurer.",
    "The library is looking for volunteers to read to children on Wednesdays.",
    "Passengers for the northern line should change trains at the next stop.",
    "The company said that it would hire forty people by the end of the year.",
    # everyday life
    "We had soup and bread for lunch, and then I washed the dishes.",
    "My uncle drives a delivery van and starts work at five in the morning.",
    "The keys were in the other jacket, so I had to go back upstairs.",
    "She has a meeting at ten and will call you back in the afternoon.",
    "Our neighbours have two children, and the older one plays the violin.",
    "I bought a notebook and a pair of scissors at the shop by the bridge.",
    "He forgot his umbrella on the bus, but somebody handed it in.",
    "They moved the sofa to the window and put the shelf by the door.",
    # how things are done
    "Peel the potatoes, cut them into slices and boil them in salted water.",
    "Before you change the lamp, switch off the power at the main box.",
    "Write your name and the date at the top of the first page.",
    "If the screen stays dark, hold both buttons down for ten seconds.",
    "Take the lift to the fourth floor; the office is on the right.",
    "Save the file under a new name and send a copy to the others.",
    "Let the dough rest in a bowl, covered with a cloth, until it has doubled.",
    "Measure the window first, then order the glass a little smaller.",
    # how things are
    "Bees collect pollen from flowers within a few kilometres of the hive.",
    "The island has two harbours and is connected to the mainland by a ferry.",
    "Most of the paper that is used in the region is made from recycled fibres.",
    "The war ended in the spring, and the borders were drawn anew a year later.",
    "A leap year has one day more than the others and comes every four years.",
    "The heart pumps about five litres of blood through the body every minute.",
    "Students at the college take courses in history, biology and mathematics.",
    "The tower was built of local stone and was once used as a prison.",
    # work, machines and numbers
    "The second version of the program uses less memory than the first.",
    "The table below shows how many tickets were sold on each day.",
    "Every sample was weighed twice, and the mean of both values was noted.",
    "The motor stops when the temperature rises above ninety degrees.",
    "The order contains twelve boxes of screws and four rolls of tape.",
    "Click on the second tab to see the list of users and their roles.",
    "The survey was sent to six hundred households, of which half replied.",
    "A small battery keeps the clock running while the device is off.",
    # questions, letters and speech
    "Could you tell me what time the shop opens on Sunday?",
    "Do you still have the address of the man who fixed the roof?",
    "I am writing about the room that you offered in Tuesday's paper.",
    "Is there a train in the evening, or do we have to stay the night?",
    "“The others are already there,” said Anna and put on her coat.",
    "He asked me how long I had lived here, and I told him.",
    "Please let me know by Friday how many of you are coming.",
    "When I was ten, we lived in a house with a green door.",
    # messages between people who know each other
    "On my way, but the bus is slow, so start without me.",
    "Can't find the charger, did you leave it in the car?",
    "I'll bring the chairs if you bring the drinks, ok?",
    "Yeah, we're at the back, next to the window.",
    "Hi Tom, are you still coming on Saturday or should I ask Ben?",
    "Got the tickets, they're on the kitchen table.",
    "No, that's the old number, I'll send you the new one.",
    "Let's meet at the corner at six, and then we'll see.",
    # headlines and titles
    "Council Puts Off Decision on Bridge Repairs",
    "How to Store Potatoes Through the Winter",
    "New Times for Buses From Monday",
    "What to Bring to Your First Lesson",
    "Three Walks by the River and Where They Begin",
    "Where You Can Leave Your Bicycle in Town",
    "Rain in the north, dry in the south",
    "The Museum Shows Maps From Four Centuries",
    # rules, letters and minutes
    "The tenant informs the owner of any repairs within ten days.",
    "Applicants are asked to enclose a copy of their certificate.",
    "This agreement ends on the last day of June unless it is renewed.",
    "The minutes of the previous meeting were read and accepted.",
    "With reference to your letter of 3 May, the form is attached.",
    "Visitors must leave their bags at the entrance.",
    "The association has one hundred and twelve members in four sections.",
    "Payment is due within thirty days of the date of the invoice.",
    # stories
    "He rose early, walked down to the shore and waited for the boat.",
    "The old man had a dog, and the dog had one white ear.",
    "She counted the steps as she went down: there were forty.",
    "In the evening they lit the lamp and the boy read aloud.",
    "Nobody had lived in the mill since the autumn.",
    "The king's messenger came to the gate and asked for water.",
    "He is a baker's son who leaves his village and comes to the city.",
    "The film follows two sisters who run a hotel in the mountains.",
    # work, at a desk, on a farm and at sea
    "The function returns a list of names, sorted by date.",
    "Our team meets on Mondays and plans the work of the week.",
    "The cows are brought in before dark and milked at five.",
    "The ship leaves the harbour at high tide with nine men aboard.",
    "Customers who order before noon get their goods on the next day.",
    "The sample was heated to 60 degrees and then weighed again.",
    "We use two kinds of wood for the frame, oak and ash.",
    "The report compares the figures of both years, region by region.",
    # what people think and say to each other
    "I think the second chapter is longer than the first.",
    "You turn left at the church, and then you can see it.",
    "Do you take the bus, or do you walk?",
    "Oh, there you are! We were looking for you in the garden.",
    "I don't mind where we sit, but my brother likes the window.",
    "If you ask me, it is about two hours by car.",
    "“Is it far?” “No, ten minutes if you know the way.”",
    "Most of us had seen it before, some had not.",
)
"""Our own, in no style that one would name."""

# Weak, so that a model that nobody uses any more is freed.
_READ: WeakKeyDictionary[LanguageModel, OrdinaryText] = WeakKeyDictionary()
_EXPECTED: WeakKeyDictionary[LanguageModel, Expectations] = WeakKeyDictionary()


@dataclass(frozen=True)
class OrdinaryText:
    """`SENTENCES` as a model reads them, from the second token of each on.

    Attributes:
        hidden: The states that predict the tokens, (n_tokens, d_model), all texts in a row.
        token_ids: The tokens, (n_tokens,).
        lengths: How many of them each text has.
        mean_hidden: The mean state, (d_model,): it stands in where no text precedes a token.
        mean_embedding: The tokens' mean output embedding, (d_model,).
    """

    hidden: Tensor
    token_ids: Tensor
    lengths: list[int]
    mean_hidden: Tensor
    mean_embedding: Tensor


def ordinary_text(lm: LanguageModel) -> OrdinaryText:
    """Return the sentences as the model reads them; they are read once for each model.

    Raises:
        ModelError: If its tokenizer reads no two tokens in any of them.
    """
    text = _READ.get(lm)
    if text is None:
        ids = [lm.token_ids(sentence) for sentence in SENTENCES]
        ids = [text_ids for text_ids in ids if len(text_ids) > 1]
        if not ids:
            raise ModelError(f"{lm.model_id} reads nothing in ordinary text, so no style either.")
        hidden = torch.cat([h[:-1] for h in hidden_states(lm, ids, lm.prefix_ids)])
        targets = torch.tensor([i for text_ids in ids for i in text_ids[1:]], device=lm.device)
        text = _READ[lm] = OrdinaryText(
            hidden,
            targets,
            [len(text_ids) - 1 for text_ids in ids],
            hidden.mean(dim=0),
            lm.output_embedding[targets].float().mean(dim=0),
        )
    return text


@dataclass(frozen=True)
class Expectations:
    """What a model expects to come next in ordinary text, and the metric in which it is moved.

    To second order, ε costs a divergence of ½ ε² mean(h W A Wᵀ h) there.

    Attributes:
        probability: The mean next-word distribution, (vocab_size,).
        embedding: The expected output embedding, (d_model,).
        covariance: A = mean Cov_p(e), (d_model, d_model), float64.
        hidden_moment: B = mean h hᵀ, (d_model, d_model), float64.
    """

    probability: Tensor
    embedding: Tensor
    covariance: Tensor
    hidden_moment: Tensor


def expectations(lm: LanguageModel) -> Expectations:
    """Return what the model expects in ordinary text, on the CPU, once for each model."""
    expected = _EXPECTED.get(lm)
    if expected is None:
        hidden = ordinary_text(lm).hidden
        probability = torch.zeros(lm.vocab_size, dtype=torch.float64)
        mean_squares = torch.zeros(lm.d_model, lm.d_model, dtype=torch.float64)
        for h in hidden.split(tokens_per_chunk(lm)):
            p = next_word(lm, h)
            mu = expected_embedding(lm, p).cpu()
            probability += p.sum(dim=0, dtype=torch.float64).cpu()
            mean_squares += (mu.T @ mu).double()
        probability /= len(hidden)
        embedding = lm.output_embedding.float()
        weighted = embedding * probability.float().to(embedding)[:, None]
        expected = _EXPECTED[lm] = Expectations(
            probability.float(),
            weighted.sum(dim=0).cpu(),
            (weighted.T @ embedding).cpu().double() - mean_squares / len(hidden),
            (hidden.T @ hidden).cpu().double() / len(hidden),
        )
    return expected
