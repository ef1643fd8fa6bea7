"""Read the steers of an official LM-Steer checkpoint."""

from __future__ import annotations

import argparse
import math
import pickle
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmsteer_core.errors import InputError, SteerError
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.card import SteerCard, check_name
from lmsteer_core.steers.factors import thin
from lmsteer_core.steers.fingerprint import fingerprint_digest
from lmsteer_core.steers.steer import Steer

OFFICIAL_SCALE = 1e-3
"""ε₀ of every published checkpoint; a checkpoint's own settings overrule it."""

_OFFICIAL_RANGE = (-5.0, 5.0)
"""Strengths v of the published evaluation."""

_IMPORT_TOLERANCE = 1e-3
"""Share of W's norm that an imported steer may lose to a lower rank; float16 loses as much."""


def read_official(
    path: Path | str, lm: LanguageModel, names: Mapping[int, str] | None = None
) -> list[Steer]:
    """Read the steers of an official LM-Steer checkpoint, unpickling settings and tensors only.

    Such a file is `torch.save([Namespace, {"projector1": P1, "projector2": P2}, n_steps])` with P1
    and P2 of (n_steers, d_model, rank). It names neither its steers nor its dummies: in the
    published demo's files 0 is detoxification, 2 is sentiment, and 1 and 3 are dummies.

    Args:
        path: The `.pt` file.
        lm: The model that the checkpoint was trained for; a file only tells its width and name.
        names: Names by index, of the steers to read; every one as steer-0, steer-1, … if left out.

    Returns:
        One steer per name, ε = v: the official strength 5 is ε = 5. Factors are float16 and of the
        lowest rank that keeps W to 0.1 %.

    Raises:
        InputError: If the file cannot be opened or a name or an index is not usable.
        SteerError: If it is not such a checkpoint, holds anything else than settings and tensors,
            or is for another width.
    """
    path = Path(path)
    settings, projector1, projector2, n_steps = _official_content(path)
    n_steers, d_model, rank = projector1.shape
    trained_for = " ".join(str(settings.get("model_name") or "a model it does not name").split())[
        :100
    ]
    if d_model != lm.d_model:
        raise SteerError(
            f"{path.name} steers {d_model} dimensions and was trained for {trained_for}; "
            f"{lm.model_id} has {lm.d_model}."
        )
    names = {i: f"steer-{i}" for i in range(n_steers)} if names is None else names
    _check_names(path, names, n_steers)
    if trained_for.lower().rpartition("/")[2] != lm.model_id.lower().rpartition("/")[2]:
        sys.stderr.write(
            f"{path.name} was trained for {trained_for}; it is read for {lm.model_id}.\n"
        )
    scale = _official_scale(path, settings)
    steers = []
    for index, name in names.items():
        card = SteerCard(
            name,
            "label −1",
            "label +1",
            lm.model_id,
            fingerprint_digest(lm.fingerprint_rows),
            rank,
            method="official checkpoint",
            data=f"steer {index} of {path.name}, trained for {trained_for}",
            epsilon_range=_OFFICIAL_RANGE,
            metrics={"n_steps": n_steps} if isinstance(n_steps, int) else {},
        )
        left, right = projector1[index].float(), scale * projector2[index].float().T
        steers.append(
            thin(Steer(left, right, lm.fingerprint_rows, card), tolerance=_IMPORT_TOLERANCE)
        )
    return steers


def _check_names(path: Path, names: Mapping[int, str], n_steers: int) -> None:
    for name in names.values():
        check_name(name)
    if len(set(names.values())) < len(names):
        raise InputError("Every imported steer needs a name of its own.")
    for index in names:
        if not 0 <= index < n_steers:
            raise InputError(
                f"{path.name} holds {n_steers} steers, 0 to {n_steers - 1}; there is no {index}."
            )


def _official_content(path: Path) -> tuple[dict[str, Any], Tensor, Tensor, Any]:
    """Return settings, P1, P2 (n_steers, d_model, rank) and the steps of a checkpoint."""
    content = _unpickled(path)
    if (
        not isinstance(content, list | tuple)
        or len(content) < 2
        or not isinstance(content[1], Mapping)
    ):
        raise SteerError(
            f"{path.name} is not an official LM-Steer checkpoint, a list of "
            "settings, projectors and steps."
        )
    settings = vars(content[0]) if isinstance(content[0], argparse.Namespace) else {}
    for key, only in (("adaptor_class", "multiply"), ("adapted_component", "final_layer")):
        if settings.get(key, only) != only:
            raise SteerError(
                f"{path.name} was trained with {key} {settings[key]!r}; only {only!r} is a matrix "
                "that moves output embeddings."
            )
    projectors = []
    for key in ("projector1", "projector2"):
        tensor = content[1].get(key)
        if not isinstance(tensor, Tensor):
            raise SteerError(
                f"{path.name} lacks the tensor {key!r} of an official LM-Steer checkpoint."
            )
        if tensor.ndim != 3 or not tensor.is_floating_point() or not tensor.numel():
            raise SteerError(
                f"{path.name}: {key} must be numbers of shape (steers, d_model, rank), "
                f"not {tensor.dtype} of {tuple(tensor.shape)}."
            )
        projectors.append(tensor.detach())
    if projectors[0].shape != projectors[1].shape:
        raise SteerError(
            f"{path.name}: projector1 {tuple(projectors[0].shape)} and projector2 "
            f"{tuple(projectors[1].shape)} differ in shape."
        )
    return settings, projectors[0], projectors[1], content[2] if len(content) > 2 else None


def _unpickled(path: Path) -> Any:
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    try:
        with file, torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and tensor readers each raise their own
        named = (
            re.search(r"GLOBAL (\S+)", str(error))
            if isinstance(error, pickle.UnpicklingError)
            else None
        )
        if named:
            raise SteerError(
                f"{path.name} holds more than settings and tensors ({named[1]}) and was refused; "
                "nothing in it was run."
            ) from error
        raise SteerError(
            f"{path.name} cannot be read as an official LM-Steer checkpoint; if it is truncated, "
            "fetch it again."
        ) from error


def _official_scale(path: Path, settings: Mapping[str, Any]) -> float:
    scale = settings.get("epsilon", OFFICIAL_SCALE)
    if not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise SteerError(
            f"{path.name}: its setting epsilon must be a number above 0, not {scale!r}."
        )
    return float(scale)
