"""Open the model and its steers for a verb, and read `NAME=E` arguments."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmsteer_core.errors import InputError

if TYPE_CHECKING:
    from lmsteer_core.workbench import Workbench

Result = dict[str, Any]


def open_workbench(args: argparse.Namespace, dtype: str = "auto") -> Workbench:
    """Open the workbench, which whoever asks closes.

    It is imported here, so that `--help` and bad arguments are answered at once.
    """
    from transformers.utils import logging

    from lmsteer_core.workbench import Workbench

    logging.set_verbosity_error()
    workbench = Workbench.open(args.model, dtype=dtype)
    for problem in workbench.problems:
        sys.stderr.write(f"lmsteer: passed over a steer: {problem}\n")
    return workbench


def find_steer(workbench: Any, name: str) -> Any:
    """Return a steer by its name, its folder or, as OWNER/NAME, from the hub."""
    if name in workbench.steers:
        return workbench.steer(name)
    from lmsteer_core.exchange.hub import pull
    from lmsteer_core.steers.card import CARD_FILE
    from lmsteer_core.steers.steer import Steer

    try:
        folder = Path(name).expanduser()
        if (folder / CARD_FILE).is_file():
            return workbench.checked(Steer.load(folder))
        is_hub_id = bool(re.fullmatch(r"[\w.-]+/[\w.-]+", name)) and not folder.exists()
    except (OSError, RuntimeError, ValueError):  # too long for a path, an unknown ~user, a NUL
        is_hub_id = False
    return workbench.checked(pull(name)) if is_hub_id else workbench.steer(name)


def parse_epsilons(items: Sequence[Any]) -> dict[str, float]:
    """Return ε by steer from NAME=E arguments."""
    from lmsteer_core.steers.card import check_epsilon

    epsilons = {}
    for item in items:
        name, equals, value = item.rpartition("=")
        if not equals:
            raise InputError(f"--steer wants NAME=E, for example sentiment=2, not '{item}'.")
        with suppress(ValueError):
            value = float(value)
        epsilons[name] = check_epsilon(value, name)
    return epsilons
