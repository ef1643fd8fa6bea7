"""Tiny random models, seeded steers and neutral text."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    Gemma3TextConfig,
    GPT2Config,
    GPTJConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    PreTrainedModel,
    Qwen2Config,
)
from transformers.models.auto.modeling_auto import AutoModelForCausalLM

from lmsteer_core import LanguageModel, Steer, SteerCard
from lmsteer_core.models.batched import hidden_states
from lmsteer_core.steers.fingerprint import fingerprint_rows
from lmsteer_core.training.neutral_text import PlainText, curvature_of

VOCAB_SIZE = 97
D_MODEL = 32

_GPT2_LIKE: dict[str, Any] = {"n_embd": D_MODEL, "n_layer": 2, "n_head": 4, "n_positions": 64}
_LLAMA_LIKE: dict[str, Any] = {
    "hidden_size": D_MODEL,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
_OPT_LIKE: dict[str, Any] = {
    "hidden_size": D_MODEL,
    "ffn_dim": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
_TOKENS: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

TINY_CONFIGS: dict[str, Any] = {
    "gpt2": GPT2Config(**_GPT2_LIKE, **_TOKENS),
    "gpt_neox": GPTNeoXConfig(**_LLAMA_LIKE, **_TOKENS),
    "gptj": GPTJConfig(**_GPT2_LIKE, rotary_dim=4, **_TOKENS),
    "llama": LlamaConfig(**_LLAMA_LIKE, num_key_value_heads=2, tie_word_embeddings=True, **_TOKENS),
    "qwen2": Qwen2Config(**_LLAMA_LIKE, num_key_value_heads=2, tie_word_embeddings=True, **_TOKENS),
    "gemma3": Gemma3TextConfig(
        **_LLAMA_LIKE,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=16,
        final_logit_softcapping=5.0,
        tie_word_embeddings=True,
        **_TOKENS,
    ),
    "opt": OPTConfig(**_OPT_LIKE, word_embed_proj_dim=D_MODEL, **_TOKENS),
    "opt_projected": OPTConfig(**_OPT_LIKE, word_embed_proj_dim=16, **_TOKENS),
    "mistral": MistralConfig(**_LLAMA_LIKE, num_key_value_heads=2, sliding_window=16, **_TOKENS),
}


NEUTRAL = [
    "The kitchen table was set before noon",
    "We walked along the canal",
    "There is a bus at nine, or so the sign says",
    "My neighbour keeps two bicycles in the hall",
    "When the rain stopped, everybody went out again",
    "It was the third letter that week",
    "Some of the shelves are still empty",
    "She said the meeting would be short",
    "On Monday the library opens late",
    "They have moved the piano to the other room",
    "A small road leads up to the farm",
    "After the show, he took the last train home",
]


def make_tiny(architecture: str, *, seed: int = 0, **settings: Any) -> PreTrainedModel:
    """Return a frozen random float32 model with weights large enough for logits to differ."""
    config = copy.deepcopy(TINY_CONFIGS[architecture])
    config.update(settings)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    return model.requires_grad_(False)


def make_steer(
    output_embedding: torch.Tensor,
    *,
    rank: int = 4,
    norm: float = 0.3,
    seed: int = 0,
    name: str = "style",
    model_id: str = "tiny",
) -> Steer:
    """Return a random steer whose W has the spectral norm `norm`, bound to `output_embedding`."""
    noise = torch.Generator().manual_seed(seed)
    d_model = output_embedding.shape[1]
    left = torch.linalg.qr(torch.randn(d_model, rank, generator=noise)).Q
    right = norm * torch.linalg.qr(torch.randn(d_model, rank, generator=noise)).Q.T
    card = SteerCard(name, "cold", "warm", model_id, rank=rank)
    return Steer(left, right.contiguous(), fingerprint_rows(output_embedding), card)


def make_plain(lm: LanguageModel, texts: Sequence[str] = NEUTRAL) -> PlainText:
    """Return given texts as the neutral text of a model, without sampling any."""
    token_ids = [lm.encode(text)[0][len(lm.prefix_ids) :] for text in texts]
    hidden = hidden_states(lm, token_ids, lm.prefix_ids)
    return PlainText(token_ids, hidden, curvature_of(lm, torch.cat(hidden)))


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return ‖found − expected‖ / ‖expected‖."""
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the cosine of two tensors as vectors."""
    return float((a * b).sum() / a.norm() / b.norm())


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return seeded normal noise in float64."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
