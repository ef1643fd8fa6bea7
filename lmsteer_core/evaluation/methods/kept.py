"""What making a method took is kept in its folder, with the seconds it took."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from lmsteer_core.steers.steer import Steer


def kept_steer(folder: Path, make: Callable[[], Steer]) -> tuple[Steer, float]:
    """Return the folder's steer and the seconds it took, made now if it is not there."""
    seconds = _timed(folder, lambda: make().save(folder))
    return Steer.load(folder), seconds


def kept_tensor(folder: Path, name: str, make: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """Return the folder's tensor and the seconds it took, made now if it is not there."""
    file = folder / f"{name}.safetensors"
    seconds = _timed(folder, lambda: save_file({name: make().cpu().contiguous()}, file))
    tensor: Tensor = load_file(file)[name]
    return tensor, seconds


def _timed(folder: Path, make: Callable[[], object]) -> float:
    """Return how many seconds `make` took, now or when it left its work in the folder."""
    file = folder / "training.json"  # written last: without it nothing in the folder is whole
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        make()
        file.write_text(json.dumps({"seconds": time.perf_counter() - start}))
    return float(json.loads(file.read_text())["seconds"])
