"""Rival methods that change more than the head: five ways to train, two ways to combine what was trained.

Each file is one idea and its paper. A maker trains a method, or loads what it saved in the method's own
folder, and works on twins of the language model: the model itself is never changed. LoRA's adapters are
also the experts of DExperts and the classes of GeDi; they are kept once, in a folder beside the methods'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmsteer_core.evaluation.baselines.activation_addition import make_activation_addition
from lmsteer_core.evaluation.baselines.dapt import make_dapt
from lmsteer_core.evaluation.baselines.ensembles import make_dexperts, make_gedi
from lmsteer_core.evaluation.baselines.input_steer import make_input_steer
from lmsteer_core.evaluation.baselines.lora import make_lora

if TYPE_CHECKING:
    from lmsteer_core.evaluation.methods import Maker

MAKERS: dict[str, Maker] = {
    "input-steer": make_input_steer,
    "activation-addition": make_activation_addition,
    "lora": make_lora,
    "dexperts": make_dexperts,
    "gedi": make_gedi,
    "dapt": make_dapt,
}
"""Maker by name."""
