"""Steers in and out: official checkpoints, PEFT adapters, merged models, the Hugging Face hub.

All of it is one operator. Where a steer gives logits E (h + ε Wᵀ h) with W = left @ right,

    an official checkpoint has    h + ε₀ v P2 (P1ᵀ h)        left = P1, right = ε₀ P2ᵀ, ε = v
    a LoRA adapter has            E h + B (A h)              A = leftᵀ, B = ε E rightᵀ
    a merged model has            E′ h                       E′ = E + B A

Several steers add up: their factors are concatenated along rank, as in `steering`.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import pickle
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, ModelCardData
from huggingface_hub.errors import RepositoryNotFoundError
from safetensors.torch import save_file
from torch import Tensor, nn

from lmsteer_core.errors import InputError, LMSteerError, SteerError
from lmsteer_core.language_model import LanguageModel
from lmsteer_core.official import thin
from lmsteer_core.steer import (
    CARD_FILE,
    WEIGHTS_FILE,
    Steer,
    SteerCard,
    check_epsilon,
    check_fingerprint,
    check_name,
    fingerprint_digest,
)

OFFICIAL_SCALE = 1e-3
"""ε₀ of every published checkpoint; a checkpoint's own settings overrule it."""

_OFFICIAL_RANGE = (-5.0, 5.0)
"""Strengths v of the published evaluation."""

_IMPORT_TOLERANCE = 1e-3
"""Share of W's norm that an imported steer may lose to a lower rank; float16 loses as much."""

_HUB_IDS = {
    "SmolLM2-135M-Instruct": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "gemma-3-270m": "google/gemma-3-270m",
}
"""Where the models that come as packages live on the hub."""

_CARD = "README.md"


def read_official(path: Path | str, lm: LanguageModel, names: Mapping[int, str] | None = None) -> list[Steer]:
    """Read the steers of an official LM-Steer checkpoint, unpickling settings and tensors only.

    Such a file is `torch.save([Namespace, {"projector1": P1, "projector2": P2}, n_steps])` with P1 and
    P2 of (n_steers, d_model, rank). It names neither its steers nor its dummies: in the published
    demo's files 0 is detoxification, 2 is sentiment, and 1 and 3 are dummies.

    Args:
        path: The `.pt` file.
        lm: The model that the checkpoint was trained for; a file only tells its width and name.
        names: Names by index, of the steers to read; every one as steer-0, steer-1, … if left out.

    Returns:
        One steer per name, ε = v: the official strength 5 is ε = 5. Factors are float16 and of the
        lowest rank that keeps W to 0.1 %.

    Raises:
        InputError: If the file cannot be opened or a name or an index is not usable.
        SteerError: If it is not such a checkpoint, holds anything else than settings and tensors, or
            is for another width.
    """
    path = Path(path)
    settings, projector1, projector2, n_steps = _official_content(path)
    n_steers, d_model, rank = projector1.shape
    trained_for = " ".join(str(settings.get("model_name") or "a model it does not name").split())[:100]
    if d_model != lm.d_model:
        raise SteerError(
            f"{path.name} steers {d_model} dimensions and was trained for {trained_for}; "
            f"{lm.model_id} has {lm.d_model}."
        )
    if names is None:
        names = {i: f"steer-{i}" for i in range(n_steers)}
    for name in names.values():
        check_name(name)
    if len(set(names.values())) < len(names):
        raise InputError("Every imported steer needs a name of its own.")
    for index in names:
        if not 0 <= index < n_steers:
            raise InputError(
                f"{path.name} holds {n_steers} steers, 0 to {n_steers - 1}; there is no {index}."
            )
    if trained_for.lower().rpartition("/")[2] != lm.model_id.lower().rpartition("/")[2]:
        sys.stderr.write(f"{path.name} was trained for {trained_for}; it is read for {lm.model_id}.\n")
    scale = _official_scale(path, settings)
    steers = []
    for index, name in names.items():
        card = SteerCard(
            name, "label −1", "label +1", lm.model_id, fingerprint_digest(lm.fingerprint_rows), rank,
            method="official checkpoint",
            data=f"steer {index} of {path.name}, trained for {trained_for}",
            epsilon_range=_OFFICIAL_RANGE,
            metrics={"n_steps": n_steps} if isinstance(n_steps, int) else {},
        )  # fmt: skip
        left, right = projector1[index].float(), scale * projector2[index].float().T
        steers.append(thin(Steer(left, right, lm.fingerprint_rows, card), tolerance=_IMPORT_TOLERANCE))
    return steers


def export_peft(lm: LanguageModel, parts: Sequence[tuple[Steer, float]], folder: Path | str) -> Path:
    """Write a LoRA adapter on the output embedding that `peft` loads onto the untouched base model.

    Logits equal the steered ones; its rank is the sum of the steers' ranks and ε is part of B.

    Args:
        lm: The model that the steers are for; read, never changed.
        parts: Steers, each with its ε.
        folder: Where to write; new or empty.

    Returns:
        The folder.

    Raises:
        InputError: If every ε is 0 or the folder holds something.
        SteerError: If a steer is another model's or the disk refuses; nothing is left behind then.
    """
    parts = _used(lm, parts)
    down, up = _lora(lm, parts)
    head = lm.model.get_output_embeddings()
    target = next(name for name, module in lm.model.named_modules() if module is head)
    rank = down.shape[0]
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": _hub_id(lm.model_id),
        "target_modules": [target],
        "r": rank,
        "lora_alpha": rank,  # PEFT multiplies by alpha / r: ε is in B, steer by steer
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }
    prefix = f"base_model.model.{target}"
    with _all_or_nothing(folder) as partial:
        tensors = {f"{prefix}.lora_A.weight": down, f"{prefix}.lora_B.weight": up}
        save_file(tensors, partial / "adapter_model.safetensors", metadata={"format": "pt"})
        (partial / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
        (partial / _CARD).write_text(_export_card(lm, parts, "peft"), encoding="utf-8")
    return Path(folder)


def export_merged(lm: LanguageModel, parts: Sequence[tuple[Steer, float]], folder: Path | str) -> Path:
    """Write a plain checkpoint with an untied, steered head, which needs no code from here.

    Tokenizer, head bias, logit scale and softcap stay the model's own; so does its dtype, so that
    a half-precision model rounds the steered head. Arguments, result and errors as for `export_peft`.
    """
    parts = _used(lm, parts)
    down, up = _lora(lm, parts)
    # A twin that shares every weight but the head's: the model itself must stay as it is.
    twin = copy.deepcopy(lm.model, {id(p): p for p in lm.model.parameters()})
    head = twin.get_output_embeddings()
    steered = torch.addmm(lm.output_embedding.float().cpu(), up, down).to(lm.output_embedding.dtype)
    head.weight = nn.Parameter(steered, requires_grad=False)
    for config in (twin.config, twin.config.get_text_config()):
        config.tie_word_embeddings = False
    with _all_or_nothing(folder) as partial:
        twin.save_pretrained(partial)
        lm.tokenizer.save_pretrained(partial)
        (partial / _CARD).write_text(_export_card(lm, parts, "transformers"), encoding="utf-8")
    return Path(folder)


def model_card(steer: Steer) -> str:
    """Return the README.md that makes a steer's folder a model repository of the hub."""
    card = steer.card
    low, high = card.epsilon_range
    lines = [
        f"# {card.name}: {card.negative} ↔ {card.positive}",
        f"> {card.notice}" if card.notice else "",
        f"A steer of rank {steer.rank} for {card.model_id}: a matrix W that moves every output word "
        f"embedding e to (I + εW) e. Useful from ε = {low:g} ({card.negative}) to ε = {high:g} "
        f"({card.positive}).",
        f"Method: {card.method or 'not told'}. Made from: {card.data or 'not told'}.",
        f"`{WEIGHTS_FILE}` holds the factors W = left @ right, `{CARD_FILE}` what was measured.",
        "```python\nfrom lmsteer_core import Steering, load_model\n"
        "from lmsteer_core.interop import pull\n\n"
        f'lm = load_model("{_hub_id(card.model_id)}")\nsteer = pull("OWNER/NAME")  # this repository\n'
        f"with Steering(lm.model, [steer], [[{high:g}]]):\n    lm.model.generate(...)\n```",
    ]
    return _front_matter(card.model_id, "lmsteer") + "\n\n".join(filter(None, lines)) + "\n"


def save_repository(steer: Steer, folder: Path | str) -> Path:
    """Write a steer's folder with its README.md, ready for the hub; errors as for `Steer.save`."""
    folder = steer.save(folder)
    try:
        (folder / _CARD).write_text(model_card(steer), encoding="utf-8")
    except OSError as error:
        raise SteerError(f"Cannot write the steer to {folder}: {error}.") from error
    return folder


def push(steer: Steer, repo_id: str, token: str, *, private: bool = False) -> str:
    """Upload a steer to the hub as the model repository OWNER/NAME and return its address.

    Args:
        steer: The steer.
        repo_id: OWNER/NAME; made where it does not exist yet.
        token: The user's own token with the right to write.
        private: Whether a new repository is private.

    Raises:
        SteerError: If the hub cannot be reached or refuses.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = save_repository(steer, Path(scratch) / steer.name)
        try:
            api = HfApi(token=token)
            url = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=f"Add steer {steer.name}")
        except Exception as error:  # the hub's client raises its own, the network's and ValueError
            raise SteerError(f"Cannot push '{steer.name}' to {repo_id}: {_first_line(error)}.") from error
    return str(url)


def pull(repo_id: str, *, revision: str | None = None, token: str | None = None) -> Steer:
    """Return the steer of a hub repository, downloaded at most once; only its two files are read.

    Raises:
        SteerError: If the hub cannot be reached, has no such repository, or it holds no steer.
    """
    try:
        folder = HfApi(token=token).snapshot_download(
            repo_id, revision=revision, allow_patterns=[CARD_FILE, WEIGHTS_FILE]
        )
    except RepositoryNotFoundError as error:
        raise SteerError(f"The hub has no repository {repo_id}, or none that this token may read.") from error
    except Exception as error:  # the hub's client raises its own, the network's and ValueError
        raise SteerError(f"Cannot fetch the steer {repo_id}: {_first_line(error)}.") from error
    return Steer.load(folder)


def _official_content(path: Path) -> tuple[dict[str, Any], Tensor, Tensor, Any]:
    """Return settings, P1, P2 (n_steers, d_model, rank) and the steps of a checkpoint."""
    content = _unpickled(path)
    if not isinstance(content, list | tuple) or len(content) < 2 or not isinstance(content[1], Mapping):
        raise SteerError(
            f"{path.name} is not an official LM-Steer checkpoint, a list of settings, projectors and steps."
        )
    settings = vars(content[0]) if isinstance(content[0], argparse.Namespace) else {}
    for key, only in (("adaptor_class", "multiply"), ("adapted_component", "final_layer")):
        if settings.get(key, only) != only:
            raise SteerError(
                f"{path.name} was trained with {key} {settings[key]!r}; only {only!r} is a matrix that "
                "moves output embeddings."
            )
    found = []
    for key in ("projector1", "projector2"):
        tensor = content[1].get(key)
        if not isinstance(tensor, Tensor):
            raise SteerError(f"{path.name} lacks the tensor {key!r} of an official LM-Steer checkpoint.")
        if tensor.ndim != 3 or not tensor.is_floating_point() or not tensor.numel():
            raise SteerError(
                f"{path.name}: {key} must be numbers of shape (steers, d_model, rank), "
                f"not {tensor.dtype} of {tuple(tensor.shape)}."
            )
        found.append(tensor.detach())
    if found[0].shape != found[1].shape:
        raise SteerError(
            f"{path.name}: projector1 {tuple(found[0].shape)} and projector2 {tuple(found[1].shape)} "
            "differ in shape."
        )
    return settings, found[0], found[1], content[2] if len(content) > 2 else None


def _unpickled(path: Path) -> Any:
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    try:
        with file, torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and tensor readers each raise their own
        named = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
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
        raise SteerError(f"{path.name}: its setting epsilon must be a number above 0, not {scale!r}.")
    return float(scale)


def _used(lm: LanguageModel, parts: Sequence[tuple[Steer, float]]) -> list[tuple[Steer, float]]:
    """Return the parts whose ε is not 0, checked against the model."""
    for steer, epsilon in parts:
        check_epsilon(epsilon, steer.name)
        check_fingerprint(steer, lm.fingerprint_rows, lm.model_id)
    used = [(steer, float(epsilon)) for steer, epsilon in parts if epsilon]
    if not used:
        raise InputError("At ε = 0 there is nothing to export but the base model; choose another ε.")
    return used


def _lora(lm: LanguageModel, parts: Sequence[tuple[Steer, float]]) -> tuple[Tensor, Tensor]:
    """Return A (rank, d_model) and B (vocab_size, rank), float32 on the CPU: steered = E h + B A h."""
    down = torch.cat([steer.left.float() for steer, _ in parts], dim=1).T
    right = torch.cat([epsilon * steer.right.float() for steer, epsilon in parts])
    return down.contiguous(), lm.output_embedding.float().cpu() @ right.T


@contextmanager
def _all_or_nothing(folder: Path | str) -> Iterator[Path]:
    """Yield a folder beside `folder` that takes its place when all went well, and else is removed."""
    folder = Path(folder).expanduser().resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; choose another.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".exporting-", dir=folder.parent) as scratch:
            partial = Path(scratch) / folder.name
            partial.mkdir()
            yield partial
            if folder.exists():
                folder.rmdir()
            os.replace(partial, folder)
    except LMSteerError:
        raise
    except Exception as error:  # a full disk is an OSError, SafetensorError or, of tokenizers, Exception
        raise SteerError(f"Cannot write {folder}: {_first_line(error)}; nothing was left there.") from error


def _hub_id(model_id: str) -> str:
    return _HUB_IDS.get(model_id, model_id)


def _front_matter(model_id: str, library: str) -> str:
    """Return the block that the hub reads; a local folder's name is no base model there."""
    base = _hub_id(model_id)
    data = ModelCardData(
        base_model=base if "/" in base else None, library_name=library, tags=["lm-steer", "steering"]
    )
    return f"---\n{data.to_yaml()}\n---\n\n"


def _export_card(lm: LanguageModel, parts: Sequence[tuple[Steer, float]], library: str) -> str:
    """Return the README.md of an export."""
    told = [
        f"- {s.name} at ε = {epsilon:g} ({s.card.negative} ↔ {s.card.positive})"
        + (f". {s.card.notice}" if s.card.notice else "")
        for s, epsilon in parts
    ]
    if library == "peft":
        use = (
            "A LoRA adapter on the output embedding alone. Load it with\n"
            f"`PeftModel.from_pretrained(base_model, folder)` onto {_hub_id(lm.model_id)}. Do not merge it "
            "into a model\nwhose input and output embeddings are tied: that would move both."
        )
    else:
        use = (
            "A whole checkpoint whose output embedding is steered and no longer tied to the input's.\n"
            "Load it with `AutoModelForCausalLM.from_pretrained(folder)`."
        )
    title = f"# {lm.model_id} with {', '.join(s.name for s, _ in parts)}"
    return _front_matter(lm.model_id, library) + "\n\n".join([title, "\n".join(told), use]) + "\n"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
