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

PUBLIC = [
    "Cancelled",
    "Combined",
    "Descriptions",
    "Examples",
    "Generated",
    "InputError",
    "LMSteerError",
    "LabelledText",
    "LanguageModel",
    "ModelError",
    "Row",
    "Sampling",
    "Steer",
    "SteerCard",
    "SteerError",
    "Steering",
    "Token",
    "generate",
    "load_model",
    "stream",
    "train",
]


def test_public_names_are_locked():
    assert sorted(lmsteer_core.__all__) == PUBLIC


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


def test_importing_the_core_imports_no_user_interface():
    code = (
        "import sys, lmsteer_core\n"
        "unwanted = ('gradio', 'plotly', 'fastapi', 'vllm', 'ray')\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in unwanted))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("error", [ModelError, SteerError, InputError, Cancelled])
def test_every_error_is_one_a_caller_can_catch_by_the_base(error):
    assert issubclass(error, LMSteerError)
    assert not issubclass(LMSteerError, (ValueError, OSError))
