"""Steers at a fixed ε as PEFT adapters and merged models.

All of it is one operator. Where a steer gives logits E (h + ε Wᵀ h) with W = left @ right,

    an official checkpoint has    h + ε₀ v P2 (P1ᵀ h)        left = P1, right = ε₀ P2ᵀ, ε = v
    a LoRA adapter has            E h + B (A h)              A = leftᵀ, B = ε E rightᵀ
    a merged model has            E′ h                       E′ = E + B A

Several steers add up: their factors are concatenated along rank, as in `steers.hook`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from lmsteer_core.errors import InputError
from lmsteer_core.exchange.hub import README_FILE, front_matter, hub_id
from lmsteer_core.files import all_or_nothing
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.steers.card import check_epsilon
from lmsteer_core.steers.steer import Steer, check_fingerprint


def export_peft(
    lm: LanguageModel, parts: Sequence[tuple[Steer, float]], folder: Path | str
) -> Path:
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
        "base_model_name_or_path": hub_id(lm.model_id),
        "target_modules": [target],
        "r": rank,
        "lora_alpha": rank,  # PEFT multiplies by alpha / r: ε is in B, steer by steer
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
    }
    prefix = f"base_model.model.{target}"
    with all_or_nothing(folder) as partial:
        tensors = {f"{prefix}.lora_A.weight": down, f"{prefix}.lora_B.weight": up}
        save_file(tensors, partial / "adapter_model.safetensors", metadata={"format": "pt"})
        (partial / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")
        (partial / README_FILE).write_text(_export_card(lm, parts, "peft"), encoding="utf-8")
    return Path(folder)


def export_merged(
    lm: LanguageModel, parts: Sequence[tuple[Steer, float]], folder: Path | str
) -> Path:
    """Write a plain checkpoint with an untied, steered head, which needs no code from here.

    Tokenizer, head bias, logit scale and softcap stay the model's own; so does its dtype, so that
    a half-precision model rounds the steered head. Arguments, result and errors as for
    `export_peft`.
    """
    parts = _used(lm, parts)
    down, up = _lora(lm, parts)
    # A twin that shares every weight but the head's: the model itself must stay as it is.
    twin = copy.deepcopy(lm.model, {id(p): p for p in lm.model.parameters()})
    head = twin.get_output_embeddings()
    steered = torch.addmm(head.weight.float().cpu(), up, down).to(head.weight.dtype)
    head.weight = nn.Parameter(steered, requires_grad=False)
    for config in (twin.config, twin.config.get_text_config()):
        config.tie_word_embeddings = False
    with all_or_nothing(folder) as partial:
        twin.save_pretrained(partial)
        lm.tokenizer.save_pretrained(partial)
        (partial / README_FILE).write_text(
            _export_card(lm, parts, "transformers"), encoding="utf-8"
        )
    return Path(folder)


def _used(lm: LanguageModel, parts: Sequence[tuple[Steer, float]]) -> list[tuple[Steer, float]]:
    """Return the parts whose ε is not 0, checked against the model."""
    for steer, epsilon in parts:
        check_epsilon(epsilon, steer.name)
        check_fingerprint(steer, lm.output_embedding, lm.model_id)
    used = [(steer, float(epsilon)) for steer, epsilon in parts if epsilon]
    if not used:
        raise InputError(
            "At ε = 0 there is nothing to export but the base model; choose another ε."
        )
    return used


def _lora(lm: LanguageModel, parts: Sequence[tuple[Steer, float]]) -> tuple[Tensor, Tensor]:
    """Return A (rank, d_model) and B (vocab_size, rank), float32: steered = E h + B A h.

    Both are on the CPU.
    """
    down = torch.cat([steer.left.float() for steer, _ in parts], dim=1).T
    right = torch.cat([epsilon * steer.right.float() for steer, epsilon in parts])
    weight = lm.model.get_output_embeddings().weight  # with the rows that have no logit
    return down.contiguous(), weight.float().cpu() @ right.T


def _export_card(lm: LanguageModel, parts: Sequence[tuple[Steer, float]], library: str) -> str:
    """Return the README.md of an export."""
    paragraphs = [
        f"- {s.name} at ε = {epsilon:g} ({s.card.negative} ↔ {s.card.positive})"
        + (f". {s.card.notice}" if s.card.notice else "")
        for s, epsilon in parts
    ]
    if library == "peft":
        use = (
            "A LoRA adapter on the output embedding alone. Load it with\n"
            "`PeftModel.from_pretrained(base_model, folder)` onto "
            f"{hub_id(lm.model_id)}. Do not merge it into a model\nwhose input and "
            "output embeddings are tied: that would move both."
        )
    else:
        use = (
            "A whole checkpoint whose output embedding is steered and no longer tied to the "
            "input's.\nLoad it with `AutoModelForCausalLM.from_pretrained(folder)`."
        )
    title = f"# {lm.model_id} with {', '.join(s.name for s, _ in parts)}"
    return (
        front_matter(lm.model_id, library) + "\n\n".join([title, "\n".join(paragraphs), use]) + "\n"
    )
