"""Tokens a second on a GPU, ours beside `generate`.

    python -m benchmarks.gpu [--shapes …] [--rows …]

Random weights in bf16 at the shapes of GPT-2-large and of Llama models of 1 B and 7 B; every row
has a prompt of 32 tokens and gets 32 more, temperature 0.9, top-p 0.95; the best of two runs after
one to warm up. *Plain* writes without a steer and without log-probabilities, as `generate` does;
*steered* has a steer of rank 8 at ε = 2 and both log-probabilities of each token.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from lmsteer_core import LanguageModel, Sampling, Steer, SteerCard
from lmsteer_core.generation.batch import Batch
from lmsteer_core.generation.live_row import LiveRow

N_PROMPT = N_NEW = 32
RANK = 8

SHAPES: dict[str, PreTrainedConfig] = {
    "GPT-2-large": GPT2Config(n_embd=1280, n_layer=36, n_head=20),
    "1 B": LlamaConfig(
        vocab_size=128_256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        tie_word_embeddings=True,
    ),
    "7 B": LlamaConfig(
        vocab_size=32_000,
        hidden_size=4096,
        intermediate_size=11_008,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
    ),
}


def main() -> None:
    """Print a line for every shape and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 8, 64, 256])
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("There is no GPU here.")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    print("| shape | rows | `generate` | plain | ÷ | steered | ÷ |\n|---|---|---|---|---|---|---|")
    for name in options.shapes:
        lm = random_model(name)
        for n_rows in options.rows:
            prompts = torch.randint(5, 20_000, (n_rows, N_PROMPT))
            n_tokens = n_rows * N_NEW
            theirs = n_tokens * best_of_two(partial(generate, lm, prompts))
            plain = n_tokens * best_of_two(partial(write, lm, prompts, None))
            steered = n_tokens * best_of_two(partial(write, lm, prompts, random_steer(lm)))
            print(
                f"| {name} | {n_rows} | {theirs:,.0f} | {plain:,.0f} | {plain / theirs:.2f} "
                f"| {steered:,.0f} | {steered / theirs:.2f} |",
                flush=True,
            )
        del lm
        torch.cuda.empty_cache()


def random_model(name: str) -> LanguageModel:
    """Return a model of a shape with random weights, and a tokenizer of numbered words."""
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(SHAPES[name], dtype=torch.bfloat16).eval()
    words = Tokenizer(
        models.WordLevel({f"w{i}": i for i in range(SHAPES[name].vocab_size)}, unk_token="w0")
    )
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return LanguageModel(model, PreTrainedTokenizerFast(tokenizer_object=words), name)


def random_steer(lm: LanguageModel) -> Steer:
    """Return a steer too weak to spoil the text."""
    torch.manual_seed(0)
    left, right = torch.randn(lm.d_model, RANK), torch.randn(RANK, lm.d_model)
    card = SteerCard("style", "less", "more", lm.model_id, rank=RANK)
    rows = lm.fingerprint_rows.float().cpu()
    return Steer(left / lm.d_model, right / lm.d_model, rows, card)


@torch.inference_mode()
def generate(lm: LanguageModel, prompts: torch.Tensor) -> None:
    """Write with transformers' own loop."""
    ids = prompts.to(lm.device)
    lm.model.generate(  # type: ignore[operator]
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=N_NEW,
        min_new_tokens=N_NEW,
        do_sample=True,
        temperature=0.9,
        top_p=0.95,
        top_k=0,
        pad_token_id=0,
        eos_token_id=1,
    )


def write(lm: LanguageModel, prompts: torch.Tensor, steer: Steer | None) -> None:
    """Write with ours."""
    steers = {steer.name: steer} if steer else {}
    sampling = Sampling(0.9, 0.95, N_NEW, seed=1)
    batch = Batch(lm)
    batch.join(
        [
            LiveRow(ids, dict.fromkeys(steers, 2.0), steers, sampling, i, logprobs=bool(steer))
            for i, ids in enumerate(prompts.tolist())
        ]
    )
    while batch.rows:
        batch.step()


def best_of_two(work: Callable[[], None]) -> float:
    """Return runs a second, of the faster one, after one that does not count."""
    work()
    seconds = []
    for _ in range(2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 1 / min(seconds)


if __name__ == "__main__":
    main()
