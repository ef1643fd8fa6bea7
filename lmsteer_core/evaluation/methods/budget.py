"""How long the methods that learn by Adam do so.

One table, part of what a run's texts depend on.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from lmsteer_core.errors import InputError

PUBLISHED = "lm-steer-official-1000"
"""The recipe as long as published, whatever the others are given."""


@dataclass(frozen=True)
class Budget:
    """How long a method learns.

    135 M parameters take about 5 s a step on one core, DAPT twice that.

    Attributes:
        learning_rate: Adam's.
        n_steps: Adam's steps, for each pole where a method learns them one by one.
        batch_size: Texts a step.
        max_tokens: Tokens that are read of each text.
        seed: Seed of what is drawn: initial weights and the order of the texts.
    """

    learning_rate: float
    n_steps: int = 200
    batch_size: int = 16
    max_tokens: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a training that could not begin."""
        if (
            min(self.n_steps, self.batch_size) < 1
            or self.max_tokens < 2
            or not self.learning_rate > 0
        ):
            raise InputError(
                "Steps and texts a step must be from 1, tokens from 2, the rate above 0."
            )


_OFFICIAL = Budget(learning_rate=1e-2, n_steps=300, batch_size=32, max_tokens=256)
_ADAPTERS = Budget(learning_rate=1e-3)

BUDGETS = {
    "lm-steer-official": _OFFICIAL,
    PUBLISHED: dataclasses.replace(_OFFICIAL, n_steps=1000),
    "input-steer": Budget(learning_rate=1e-2),
    "lora": _ADAPTERS,
    "dexperts": _ADAPTERS,
    "gedi": _ADAPTERS,
    "trained-vector": Budget(learning_rate=1e-2),
    "dapt": Budget(learning_rate=5e-5),
}
"""By the method's key; DExperts and GeDi are made of LoRA's adapters."""


def budgets(n_steps: int | None = None) -> dict[str, Budget]:
    """Return every method's budget, with as many steps as asked for in all but the published one's.

    Raises:
        InputError: If there is no step.
    """
    if n_steps is None:
        return dict(BUDGETS)
    changed = {key: dataclasses.replace(budget, n_steps=n_steps) for key, budget in BUDGETS.items()}
    return {**changed, PUBLISHED: BUDGETS[PUBLISHED]}
