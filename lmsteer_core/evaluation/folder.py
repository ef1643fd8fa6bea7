"""A run's folder: what all its texts have in common, and one writer at a time."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lmsteer_core.errors import InputError
from lmsteer_core.evaluation.cells import Protocol
from lmsteer_core.evaluation.task import Task
from lmsteer_core.files import replace_file
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.fingerprint import fingerprint_digest


def settings_of(lm: LanguageModel, task: Task, protocol: Protocol) -> dict[str, Any]:
    """Return what all texts of a folder have in common, as JSON has it."""
    return {
        "task": task.name,
        "model": lm.model_id,
        "model_fingerprint": fingerprint_digest(lm.fingerprint_rows),
        "dtype": str(lm.output_embedding.dtype).removeprefix("torch."),
        "model_parameters": lm.model.num_parameters(),
        "prompts": len(task.prompts),
        "prompts_sha256": _digest(task.prompts),
        **training_text_facts(task),
        "training_steps": {key: budget.n_steps for key, budget in protocol.budgets.items()},
        "samples": protocol.n_samples,
        **dataclasses.asdict(protocol.sampling),
    }


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder.

    Raises:
        InputError: If one does, or nobody can.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0).acquire()
    except Timeout as error:
        raise InputError(
            f"Another evaluation writes to {folder}: wait for it, or choose another --out."
        ) from error
    except OSError as error:
        raise InputError(
            f"Cannot write to {folder}: {error.strerror}; choose another --out."
        ) from error
    with lock:
        yield


def begin_run(folder: Path, settings: dict[str, Any]) -> None:
    """Write run.json, or raise InputError if it is there and differs."""
    file = folder / "run.json"
    try:
        known = (
            json.loads(file.read_text())
            if file.is_file()
            else {**settings, "versions": _versions()}
        )
    except ValueError as error:
        raise InputError(f"{file} is damaged; choose another --out.") from error
    for key, value in settings.items():
        before = known.setdefault(key, value)
        if before != value:
            difference = f"{key}: {before}, not {value}"
            raise InputError(
                f"{folder} holds a run of other settings ({difference}); choose another --out."
            )
    replace_file(file, json.dumps(known, indent=1, ensure_ascii=False))


def training_text_facts(task: Task) -> dict[str, Any]:
    """Return what a task's methods learn from."""
    return {
        "texts": len(task.texts),
        "texts_sha256": _digest(zip(task.texts, task.labels, strict=True)),
        "descriptions": [task.positive, task.negative],
    }


def _versions() -> dict[str, str]:
    packages = ("torch", "transformers", "tokenizers", "scikit-learn", "numpy")
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
    }


def _digest(items: Any) -> str:
    return hashlib.sha256(json.dumps(list(items), ensure_ascii=False).encode()).hexdigest()[:16]
