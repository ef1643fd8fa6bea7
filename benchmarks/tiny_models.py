"""A tiny random model of every causal class that transformers has, from its config alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCAB_SIZE = 320
D_MODEL = 32
CONTEXT = 128

_NOISE = 0.05
"""Added to every weight: what starts at 0 or 1 would hide a mistake."""

_GROUPS = {
    VOCAB_SIZE: "vocab_size vocab_size_per_layer_input",
    D_MODEL: "hidden_size d_model n_embd emb_dim embedding_size word_embed_proj_dim lru_width "
    "input_embedding_size output_embedding_size",
    CONTEXT: "max_position_embeddings n_positions n_ctx max_seq_len max_target_positions "
    "context_length model_max_length index_topk",
    48: "intermediate_size ffn_dim encoder_ffn_dim decoder_ffn_dim ffn_hidden_size d_inner dff "
    "dim_ff feed_forward_size dense_intermediate_size mamba_d_ssm",
    64: "mamba_d_ssm",
    16: "moe_intermediate_size shared_expert_intermediate_size shared_intermediate_size "
    "moe_shared_expert_intermediate_size q_lora_rank qk_head_dim sliding_window "
    "attention_window_size local_attention mamba_d_head mamba_head_dim mamba_headdim "
    "mamba_chunk_size chunk_size",
    8: "head_dim d_head dim_head attention_head_size qk_rope_head_dim qk_nope_head_dim v_head_dim "
    "kv_lora_rank o_lora_rank index_head_dim mamba_d_state state_size ssm_state_size "
    "linear_key_head_dim linear_value_head_dim linear_head_dim hidden_size_per_layer_input",
    4: "num_attention_heads n_head n_heads num_heads encoder_attention_heads laurel_rank "
    "decoder_attention_heads num_key_value_heads num_kv_heads num_experts num_local_experts "
    "n_routed_experts moe_num_experts rotary_dim mamba_n_heads mamba_num_heads time_step_rank "
    "linear_num_value_heads adapter_rank n_mamba_heads",
    2: "num_hidden_layers n_layers num_layers n_layer encoder_layers decoder_layers "
    "num_experts_per_tok moe_k moe_topk index_n_heads linear_num_key_heads eos_token_id "
    "sep_token_id",
    1: "n_group topk_group mamba_n_groups n_groups bos_token_id cls_token_id "
    "decoder_start_token_id n_shared_experts",
    0: "pad_token_id",
}
_SIZES = {name: size for size, names in _GROUPS.items() for name in names.split()}

_UNSET = {
    *("head_dim", "n_group", "n_routed_experts", "n_shared_experts"),
    *("num_experts_per_tok", "num_key_value_heads", "topk_group"),
}
"""Sizes whose default is None, which some classes cannot do without."""

_HYBRID = {"num_hidden_layers": 4}
_ATTENTION_LAST = ["linear_attention", "full_attention"]
_SHARED_BLOCKS = ["linear_attention", "hybrid", "linear_attention", "hybrid"]
_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
_INDEXER = {
    "indexer_n_heads": 2,
    "indexer_kv_heads": 1,
    "indexer_head_dim": 8,
    "indexer_budget": 64,
    "indexer_compress_ratio": 4,
}
_SCALED = {"logits_scaling": 4.0}
_DECODER = {"is_decoder": True}

_EXTRA: dict[str, Mapping[str, Any]] = {
    # What scales logits by default by 1, or caps nothing, would hide a mistake.
    "falcon_h1": {"lm_head_multiplier": 0.3},
    "granite": _SCALED,
    "granite_swa": _SCALED,
    "granitemoe": _SCALED,
    "granitemoe_swa": _SCALED,
    "granitemoeshared": _SCALED,
    "hyperclovax": {"logits_scaling": 0.3},
    "inkling_text": {"logits_mup_width_multiplier": 3.0, "unpadded_vocab_size": 310},
    "inkling2_text": {"unpadded_vocab_size": 310},
    "recurrent_gemma": {"num_hidden_layers": 3, "logits_soft_cap": 2.0},
    **{
        name: {"final_logit_softcapping": 2.0}
        for name in ("gemma2", "gemma3_text", "gemma4_text", "gemma4_unified_text", "vaultgemma")
    },
    # Layers of both kinds, in few layers.
    "bailing_hybrid": {"layer_group_size": 2},
    "bamba": {"attn_layer_indices": [1]},
    "granitemoehybrid": {**_SCALED, "layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
    "kimi_linear": {"layer_types": _ATTENTION_LAST, "num_experts_per_token": 2, "num_experts": 4},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "lfm3": {
        "layer_types": ["conv", "full_attention"],
        "rope_parameters": {"full_attention": _ROPE},
    },
    "qwen3_5": {"text_config": _HYBRID},
    "qwen3_5_moe": {"text_config": _HYBRID},
    "qwen3_5_moe_text": _HYBRID,
    "qwen3_5_text": _HYBRID,
    "qwen3_next": _HYBRID,
    "qwen4_exp": {"text_config": {**_HYBRID, **_INDEXER}},
    "qwen4_exp_text": {**_HYBRID, **_INDEXER},
    "zamba": {**_HYBRID, "layers_block_type": _SHARED_BLOCKS},
    "zamba2": {**_HYBRID, "layers_block_type": _SHARED_BLOCKS},
    # What must fit together in other ways.
    "cohere_compass_text": {
        "rope_parameters": {"full_attention": {**_ROPE, "mrope_section": [2, 1, 1]}}
    },
    "dbrx": {
        "attn_config": {"rope_theta": 10_000.0, "kv_n_heads": 4, "clip_qkv": 8},
        "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "gemma3n_text": {"num_hidden_layers": 10, "num_kv_shared_layers": 5},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "mamba2": {"num_heads": 4, "head_dim": 16},
    "mimo_v2_flash": {"num_key_value_heads": 2},
    "reformer": {
        **_DECODER,
        "attn_layers": ["local", "local"],
        "axial_pos_embds_dim": [16, 16],
        "axial_pos_shape": [8, 16],
    },
    "xlstm": {"hidden_size": 128},
    "xmod": {"default_language": "en_XX"},
    "zaya": {"num_experts_per_tok": 1},
}


def model_types() -> list[str]:
    """Return the model types that transformers has a causal language model for."""
    return list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tiny_config(model_type: str, **settings: Any) -> PretrainedConfig:
    """Return a config whose sizes are tiny wherever its class has a size of its own."""
    config_class = CONFIG_MAPPING[model_type]
    given = _sizes(config_class)
    for name, part in _parts(config_class):
        given[name] = {**_sizes(part), "model_type": part.model_type}
    for name, value in {**_EXTRA.get(model_type, {}), **settings}.items():
        given[name] = {**given[name], **value} if isinstance(given.get(name), dict) else value
    return config_class(**given)


def tiny_model(model_type: str, **settings: Any) -> PreTrainedModel:
    """Return a frozen random float32 model."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = tiny_config(model_type, **settings)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            parameter.data += _NOISE * torch.randn_like(parameter)
    model.eval().requires_grad_(False)
    return model


def _parts(config_class: type[PretrainedConfig]) -> Iterator[tuple[str, type[PretrainedConfig]]]:
    """Yield the configs within a config: their names and classes."""
    for name in config_class.sub_configs:
        part = getattr(config_class(), name, None)
        if part is not None:
            yield name, type(part)


def _sizes(config_class: type[PretrainedConfig]) -> dict[str, Any]:
    """Return the tiny sizes of what a config class has sizes for."""
    fields = getattr(config_class, "__dataclass_fields__", {})
    return {
        name: size
        for name, size in _SIZES.items()
        if name in fields and (isinstance(fields[name].default, int) or name in _UNSET)
    }
