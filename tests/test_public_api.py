"""The public names are locked, documented, and cost no user interface."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import lmsteer_core
from lmsteer_core import Cancelled, InputError, LMSteerError, ModelError, SteerError
from lmsteer_core.resources import PACKAGE

ROOT = PACKAGE.parent
PUBLIC = [
    "Cancelled",
    "Combined",
    "Descriptions",
    "Dimension",
    "Examples",
    "Generated",
    "InputError",
    "InspectedToken",
    "LMSteerError",
    "LabelledText",
    "LanguageModel",
    "ModelError",
    "NextWords",
    "ReadText",
    "Row",
    "Sampling",
    "Span",
    "Steer",
    "SteerCard",
    "SteerError",
    "Steering",
    "Token",
    "Weighed",
    "Workbench",
    "dimensions",
    "export_merged",
    "export_peft",
    "generate",
    "inspect_token",
    "load_model",
    "next_words",
    "pull",
    "push",
    "read_labelled",
    "read_official",
    "read_text",
    "stream",
    "strongest_spans",
    "train",
    "transfer_steer",
    "weigh",
]


def test_public_names_are_locked():
    assert sorted(vars(lmsteer_core)["__all__"]) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_a_docstring_of_its_own(name):
    thing = getattr(lmsteer_core, name)
    assert inspect.getdoc(thing)
    assert thing.__doc__
    assert not thing.__doc__.startswith(f"{name}(")
    if inspect.isclass(thing):
        for method, value in vars(thing).items():
            if not method.startswith("_") and (
                inspect.isfunction(value) or isinstance(value, property)
            ):
                assert inspect.getdoc(value), f"{name}.{method}"


@pytest.mark.parametrize(
    "file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE))
)
def test_module_says_what_it_is_for(file):
    assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))


UNWANTED = {"fastapi", "gradio", "plotly", "ray", "vllm"}


def packages_after(code: str) -> set[str]:
    """Return the top-level packages that a fresh Python holds after some code."""
    code += "\nprint(*{module.split('.')[0] for module in sys.modules}, file=sys.stderr)"
    command = [sys.executable, "-c", f"import sys\n{code}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_importing_the_core_imports_neither_torch_nor_a_user_interface():
    loaded = packages_after("import lmsteer_core; dir(lmsteer_core)")
    assert not loaded & {*UNWANTED, "numpy", "torch", "transformers"}


def test_every_public_name_together_imports_no_user_interface():
    loaded = packages_after("from lmsteer_core import *")
    assert "torch" in loaded
    assert not loaded & UNWANTED


def test_help_of_every_verb_is_there_without_torch_or_a_user_interface():
    verbs = (
        "models install steers generate nextword words analyze inspect train transfer import export"
    )
    loaded = packages_after(
        "from lmsteer_core.cli.main import main\n"
        f"for verb in '{verbs} push evaluate app serve'.split():\n"
        "    try: main([verb, '--help'])\n"
        "    except SystemExit as stop: assert not stop.code"
    )
    assert not loaded & {*UNWANTED, "torch", "transformers"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        getattr(lmsteer_core, "nothing_of_ours")  # noqa: B009


@pytest.mark.parametrize("error", [ModelError, SteerError, InputError, Cancelled])
def test_every_error_is_one_a_caller_can_catch_by_the_base(error):
    assert issubclass(error, LMSteerError)
    assert not issubclass(LMSteerError, (ValueError, OSError))
