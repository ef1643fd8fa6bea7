"""Every method by its key, and which of them take part in what."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.methods.activation_addition import make_activation_addition
from lmsteer_core.evaluation.methods.base import Maker, unsteered
from lmsteer_core.evaluation.methods.budget import BUDGETS, PUBLISHED
from lmsteer_core.evaluation.methods.contrastive import contrastive
from lmsteer_core.evaluation.methods.dapt import make_dapt
from lmsteer_core.evaluation.methods.ensembles import make_dexperts, make_gedi
from lmsteer_core.evaluation.methods.input_steer import make_input_steer
from lmsteer_core.evaluation.methods.layer import make_trained_vector, make_transport
from lmsteer_core.evaluation.methods.lora import make_lora
from lmsteer_core.evaluation.methods.offsets import (
    additive,
    additive_from_descriptions,
    word_offsets,
)
from lmsteer_core.evaluation.methods.prompting import chat_prompt, prompt_and_steer, prompt_prefix
from lmsteer_core.evaluation.methods.steers import (
    combined_steer,
    official_steer,
    shipped_steer,
    steer_from_descriptions,
    steer_from_labels,
)

BASELINES: dict[str, Maker] = {
    "input-steer": make_input_steer,
    "activation-addition": make_activation_addition,
    "trained-vector": make_trained_vector,
    "activation-transport": make_transport,
    "lora": make_lora,
    "dexperts": make_dexperts,
    "gedi": make_gedi,
    "dapt": make_dapt,
}
"""Maker by name."""

HEAD_METHODS: dict[str, Maker] = {
    "unsteered": unsteered,
    "lm-steer-labels": steer_from_labels,
    "lm-steer-descriptions": steer_from_descriptions,
    "lm-steer-combined": combined_steer,
    "lm-steer-shipped": shipped_steer,
    "lm-steer-official": official_steer,
    PUBLISHED: functools.partial(official_steer, budget=BUDGETS[PUBLISHED]),
    "word-offsets": word_offsets,
    "additive": additive,
    "additive-descriptions": additive_from_descriptions,
    "prompt-prefix": prompt_prefix,
    "chat-prompt": chat_prompt,
    "prompt-and-steer": prompt_and_steer,
    "contrastive": contrastive,
}
ON_REQUEST = frozenset({"lm-steer-shipped", "chat-prompt"})
"""What not every model has: compared where it is asked for by name."""
NEED_NO_TEXT = ON_REQUEST | {
    "unsteered",
    "lm-steer-descriptions",
    "additive-descriptions",
    "prompt-prefix",
    "prompt-and-steer",
    "contrastive",
}
OURS = frozenset(
    {"lm-steer-labels", "lm-steer-descriptions", "lm-steer-combined", "lm-steer-shipped"}
)

MAKERS: dict[str, Maker] = {**HEAD_METHODS, **BASELINES}

COMPOSED = ("lm-steer-descriptions", "additive", "input-steer")
"""Whose grids of two strengths are written: one method of each kind that has two acting at once."""
DATA_METHODS = ("lm-steer-labels", "word-offsets", "additive")
"""What the section on data makes anew for every size: the
methods that learn by Adam take hours to."""


def check_methods(methods: Sequence[str]) -> None:
    """Raise InputError unless all are names of methods."""
    for key in methods:
        if key not in MAKERS:
            raise InputError(f"There is no method '{key}': use {', '.join(MAKERS)}.")
