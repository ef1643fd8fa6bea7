"""Models and steers to export, and the logits that an export must give."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import torch
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, CohereConfig, GraniteConfig, PreTrainedTokenizerFast

from lmsteer_core import LanguageModel, LMSteerError, Steer, Steering
from lmsteer_core.exchange.export import export_merged, export_peft
from support.models import TINY_CONFIGS, VOCAB_SIZE, make_steer

IDS = torch.randint(3, VOCAB_SIZE, (3, 7), generator=torch.Generator().manual_seed(5))
_LLAMA = TINY_CONFIGS["llama"].to_dict()
_SHAPE = {
    key: _LLAMA[key]
    for key in (
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "max_position_embeddings",
        "bos_token_id",
        "eos_token_id",
        "pad_token_id",
    )
}
CONFIGS = {
    **TINY_CONFIGS,
    "cohere": CohereConfig(**_SHAPE, logit_scale=0.5),
    "granite": GraniteConfig(**_SHAPE, logits_scaling=4.0),
}
FORMATS = {"peft": export_peft, "merged": export_merged}


def make_lm(architecture: str = "llama", *, tied: bool = True, seed: int = 0) -> LanguageModel:
    """Return a tiny random model, tied or not, with a tokenizer of as many words."""
    config = copy.deepcopy(CONFIGS[architecture])
    config.tie_word_embeddings = tied
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    words = Tokenizer(WordLevel({f"w{i}": i for i in range(VOCAB_SIZE)}, unk_token="w0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="w0", eos_token="w2")
    return LanguageModel(model, tokenizer, "tiny")


def steers_of(lm: LanguageModel) -> list[tuple[Steer, float]]:
    """Return two steers of different rank with their ε."""
    embedding = lm.output_embedding
    return [
        (make_steer(embedding, name="warm", rank=4), 2.0),
        (make_steer(embedding, name="grand", rank=3, seed=1), -1.5),
    ]


def logits_of(model: torch.nn.Module, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad():
        return model(ids, use_cache=False).logits


def steered_logits(
    lm: LanguageModel, parts: list[tuple[Steer, float]], ids: torch.Tensor = IDS
) -> torch.Tensor:
    with Steering(lm.model, [s for s, _ in parts], [[e for _, e in parts]]):
        return logits_of(lm.model, ids)


def load_peft(base: torch.nn.Module, folder: Path) -> torch.nn.Module:
    from peft import PeftModel

    with warnings.catch_warnings():
        # PEFT warns of tied embeddings whatever the adapter does, transformers of PEFT's own use.
        warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`")
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        return PeftModel.from_pretrained(base, folder)


def one_sentence(error: LMSteerError) -> str:
    message = str(error)
    assert "\n" not in message
    assert message.endswith(".")
    assert len(message) < 400
    return message


def read_front_matter(text: str) -> dict:
    return yaml.safe_load(text.split("---\n")[1])
