"""A branch: a text of a page up to one of its tokens, another token there, and on from that."""

from __future__ import annotations

from collections.abc import Iterator

from lmsteer_core.errors import InputError
from lmsteer_core.generation.live_row import Token
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.baselines import Baselines
from lmsteer_core.ui.page.live_view import LiveView
from lmsteer_core.ui.page.runs import Wanted
from lmsteer_core.ui.page.written import WRITTEN, Place


def branch(
    session: str, message: str, baselines: Baselines, is_wanted: Wanted, ids: live_text.ColumnIds
) -> Iterator[LiveView]:
    """Yield both columns as they go on from another token, with the setting and seed of before.

    Args:
        session: Whose page.
        message: A `Place` with a choice, as JSON.
        baselines: The unsteered texts of the tab.
        is_wanted: Whether to go on; asked at every token.
        ids: Where the texts stand.

    Raises:
        InputError: If the page shows no such token, or no text can go on from the chosen one.
    """
    place = Place.parse(message)
    written, start = WRITTEN.find(session, place)
    if place.choice is None or written.sampling is None:
        raise InputError("Choose a token to go on from.")
    workbench, before = written.workbench, written.ids_before(start)
    parts = written.parts(written.tokens[start])
    found = workbench.inspect_token([*before, place.choice], -1, parts, top=1, unlock=True)
    text = workbench.text([*before, place.choice]).removeprefix(workbench.text(before))
    if not text or text.endswith("\ufffd"):
        raise InputError(
            f"No text goes on from “{found.token.text}”: it is an end, or part of a character."
        )
    chosen = Token(
        place.choice,
        text,
        found.token.logprob,
        found.token.base_logprob,
        {steer.name: epsilon for steer, epsilon in parts},
    )
    begin = live_text.Beginning(tuple(written.ids_before(0)), (*written.tokens[:start], chosen))
    workbench.prompt_ids(begin.ids, written.sampling.max_new_tokens)  # raises if it is too long
    yield from live_text.side_by_side(
        workbench,
        baselines.of(session, written.prompt, written.sampling, begin.ids),
        written.prompt,
        written.epsilons,
        written.sampling,
        is_wanted,
        written.steers,
        ids,
        unlock=True,  # what is locked was unlocked for the text of before
        begin=begin,
    )
