"""A run that a page kept is written again: prompt, setting, seed, and what it branched from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lmsteer_core.errors import InputError
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.progress import finished
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer
from lmsteer_core.ui.page import live_text
from lmsteer_core.ui.page.baselines import Baselines
from lmsteer_core.ui.page.live_view import LiveView
from lmsteer_core.ui.page.runs import Wanted
from lmsteer_core.workbench import Workbench


class _Drawn(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int


class KeptRun(BaseModel):
    """What a page kept of a run; a visitor may have edited it in a file.

    Attributes:
        prompt: What was continued.
        epsilons: ε by steer name.
        sampling: How it was drawn.
        begin: Token ids behind the prompt that both columns begin with.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    prompt: str
    epsilons: dict[str, float]
    sampling: _Drawn
    begin: list[int] = Field(default_factory=list)

    @classmethod
    def parse(cls, json: str) -> KeptRun:
        """Read what a page sent.

        Raises:
            InputError: If it is no run.
        """
        try:
            return cls.model_validate_json(json)
        except ValidationError as error:
            raise InputError("That is no run that was kept here.") from error


def reopen(
    workbench: Workbench,
    session: str,
    message: str,
    baselines: Baselines,
    page_steers: Mapping[str, Steer],
    is_wanted: Wanted,
    *,
    unlock: bool,
) -> Iterator[LiveView]:
    """Yield both columns of the Steer tab as a kept run wrote them.

    Args:
        workbench: The model and the steers that all visitors share.
        session: Whose page.
        message: A `KeptRun` as JSON.
        baselines: The unsteered texts of the tab.
        page_steers: Steers of the visitor's page by name.
        is_wanted: Whether to go on; asked at every token.
        unlock: Whether locked poles may be used.

    Raises:
        InputError: If it is no run, or cannot be written here.
        SteerError: If a steer is not here.
    """
    run = KeptRun.parse(message)
    sampling = Sampling(**run.sampling.model_dump())
    parts = [
        (page_steers.get(name) or workbench.steer(name), check_epsilon(epsilon, name))
        for name, epsilon in run.epsilons.items()
    ]
    begin = None
    if run.begin:
        prompt_ids, _ = workbench.prompt_tokens(run.prompt, sampling.max_new_tokens)
        ids = workbench.prompt_ids([*prompt_ids, *run.begin], sampling.max_new_tokens)
        tokens = finished(workbench.score(ids, parts, unlock=unlock))
        begin = live_text.Beginning(tuple(prompt_ids), tuple(tokens[len(prompt_ids) :]))
    yield from live_text.side_by_side(
        workbench,
        baselines.of(session, run.prompt, sampling, begin.ids if begin else ()),
        run.prompt,
        run.epsilons,
        sampling,
        is_wanted,
        page_steers,
        live_text.ColumnIds(),
        unlock=unlock,
        begin=begin,
    )
