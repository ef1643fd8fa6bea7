"""The verb `generate`: steered texts beside the baseline."""

from __future__ import annotations

import argparse
import sys

from lmsteer_core.cli.opening import Result, find_steer, open_workbench, parse_epsilons
from lmsteer_core.cli.verbs import Verbs, add_unlock
from lmsteer_core.errors import InputError


def add_generate(verbs: Verbs) -> None:
    """Add the verb `generate`."""
    parser = verbs.add(
        "generate", run_generate, show_generate, "Generate steered text beside the baseline."
    )
    parser.add_argument("prompt", metavar="PROMPT")
    parser.add_argument(
        "--steer", action="append", default=[], metavar="NAME=E", help="ε of a steer; repeatable"
    )
    add_unlock(parser)
    parser.add_argument("--samples", type=int, default=1, metavar="N")
    parser.add_argument("--max-new-tokens", type=int, default=40, metavar="N")
    parser.add_argument("--temperature", type=float, default=0.9, metavar="T")
    parser.add_argument("--top-p", type=float, default=0.95, metavar="P")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument(
        "--decoder",
        choices=["auto", "torch"],
        default="torch",
        help="what writes the texts: torch, or as in the app the fastest faithful one here",
    )


def run_generate(args: argparse.Namespace) -> Result:
    """Generate steered texts beside the baseline."""
    from lmsteer_core.generation.generate import Row
    from lmsteer_core.generation.sampling import Sampling

    epsilons = parse_epsilons(args.steer)
    sampling = Sampling(args.temperature, args.top_p, args.max_new_tokens, args.seed)
    if not 1 <= args.samples <= 255:
        raise InputError(f"--samples must be between 1 and 255, not {args.samples}.")
    with open_workbench(args) as workbench:
        if args.decoder == "auto":
            workbench.accelerate().result()
        steers = {name: find_steer(workbench, name) for name in epsilons}
        if workbench.prompt_tokens(args.prompt, sampling.max_new_tokens)[1]:
            sys.stderr.write(
                f"lmsteer: the prompt's beginning was cut to fit the context of "
                f"{workbench.context_length} tokens.\n"
            )
        rows = [Row(args.prompt, dict.fromkeys(epsilons, 0.0))]
        rows += [Row(args.prompt, epsilons, seed_offset=i) for i in range(args.samples)]
        done = workbench.generate(rows, sampling, extra=steers, unlock=args.unlock)
    return {
        "prompt": args.prompt,
        "model": workbench.model_id,
        "rows": [
            {
                "epsilons": dict(row.row.epsilons),
                "text": row.text,
                "tokens": [
                    {"text": t.text, "logprob": t.logprob, "base_logprob": t.base_logprob}
                    for t in row.tokens
                ],
            }
            for row in done
        ],
    }


def show_generate(result: Result) -> str:
    """Return what `generate` prints for a person."""

    def title(epsilons: dict[str, float]) -> str:
        return ", ".join(f"{name} {e:+g}" for name, e in epsilons.items() if e) or "baseline"

    return "\n\n".join(
        f"[{title(r['epsilons'])}]\n{result['prompt']}{r['text']}" for r in result["rows"]
    )
