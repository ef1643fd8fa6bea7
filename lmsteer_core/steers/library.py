"""Where steers are kept, and which of them fit a model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from torch import Tensor

from lmsteer_core.errors import SteerError
from lmsteer_core.resources import PRETRAINED_STEERS
from lmsteer_core.steers.card import CARD_FILE
from lmsteer_core.steers.steer import Steer, bound


def user_steers_of(model_id: str) -> Path:
    """Return where a user's own steers of a model are kept."""
    return user_steers() / model_id.replace("/", "--").lower()


def discover(
    folders: Sequence[Path], output_embedding: Tensor, model_id: str
) -> tuple[dict[str, Steer], list[str]]:
    """Find every steer of one model below `folders` (each <folder>/<model>/<steer>/card.json).

    Args:
        folders: Where to look.
        output_embedding: The model's E, (vocab_size, d_model).
        model_id: What to call the model.

    Returns:
        The steers by name, earlier folders first, and one sentence per steer that cannot be read.
        Steers of other models are passed over.
    """
    steers: dict[str, Steer] = {}
    problems: list[str] = []
    for folder in folders:
        for card_path in sorted(folder.glob(f"*/*/{CARD_FILE}")):
            try:
                steer = Steer.load(card_path.parent)
            except SteerError as error:
                problems.append(str(error))
                continue
            with suppress(SteerError):
                steers.setdefault(steer.name, bound(steer, output_embedding, model_id))
    return steers, problems


def steer_folders() -> list[Path]:
    """Return where steers are looked for: the user's own folder, then those that ship."""
    return [user_steers(), *(folder for folder in [PRETRAINED_STEERS] if folder.is_dir())]


def user_steers() -> Path:
    """Return the folder for steers a user trains; `LMSTEER_HOME` overrides its parent."""
    home = os.environ.get("LMSTEER_HOME")
    base = (
        Path(home)
        if home
        else Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "lmsteer"
    )
    return base / "steers"
