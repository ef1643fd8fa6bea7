"""How far the logits of exported models are from the steered ones.

    python -m benchmarks.exports

The embedded model with two of its steers, then a tiny random model of every architecture of
tests/support/exports.py, with tied and with untied embeddings. The largest difference of any logit,
beside the largest that steering itself makes.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from lmsteer_core import LanguageModel, Steer, load_model
from lmsteer_core.exchange.export import export_merged, export_peft
from lmsteer_core.workbench import Workbench

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.exports import CONFIGS, IDS, load_peft, logits_of, make_lm, steered_logits, steers_of  # noqa: E402


def main() -> None:
    """Print the table."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    print("| model | embeddings | moved by steering | peft | merged |")
    print("|---|---|---|---|---|")
    lm = load_model("embedded", dtype="float32")
    workbench = Workbench(lm)
    parts = [(workbench.steer("sentiment"), 2.0), (workbench.steer("formality"), -1.0)]
    ids = torch.tensor([lm.encode("The new neighbours turned out to be kind.")[0]])
    print(line(lm, parts, ids), flush=True)
    for architecture in CONFIGS:
        for tied in (True, False):
            lm = make_lm(architecture, tied=tied)
            print(line(lm, steers_of(lm), IDS, architecture), flush=True)


def line(
    lm: LanguageModel, parts: list[tuple[Steer, float]], ids: torch.Tensor, name: str = ""
) -> str:
    """Return one line of the table."""
    model = lm.model
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    steered, base = steered_logits(lm, parts, ids), logits_of(model, ids)
    with tempfile.TemporaryDirectory() as folder:
        merged = AutoModelForCausalLM.from_pretrained(
            export_merged(lm, parts, Path(folder) / "merged")
        )
        adapter = load_peft(copy.deepcopy(model), export_peft(lm, parts, Path(folder) / "peft"))
        errors = [(logits_of(m.eval(), ids) - steered).abs().max() for m in (adapter, merged)]
    cells = " | ".join(f"{float(e):.1e}" for e in errors)
    moved = float((steered - base).abs().max())
    return f"| {name or lm.model_id} | {'tied' if tied else 'untied'} | {moved:.2g} | {cells} |"


if __name__ == "__main__":
    main()
