"""The documentation builds, its links lead somewhere, and what it says to type is understood."""

from __future__ import annotations

import functools
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks/README.md"])
SOURCE = "https://github.com/lm-steer/workbench/blob/main/"


def test_the_site_builds_without_a_warning(tmp_path):
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--site-dir",
        tmp_path,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "steer_hidden" in (tmp_path / "search/search_index.json").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page):
    targets = re.findall(r"\]\(([^)\s#]+)[^)]*\)", page.read_text())
    for target in targets:
        if target.startswith(SOURCE):
            assert (ROOT / target.removeprefix(SOURCE)).exists(), target
        elif "://" not in target and not target.startswith("images/"):
            assert (page.parent / target).exists(), target


def test_the_readme_is_short_and_heads_a_space():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) < 150
    assert {"sdk: docker", "app_port: 7860"} < set(lines[: lines.index("---", 1)])


@functools.cache
def help_of(*verb: str) -> str:
    command = [sys.executable, "-m", "lmsteer_core", *verb, "--help"]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env={"COLUMNS": "200"}
    ).stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_has_its_verb_and_options(page):
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = line.partition("  #")[0].split()
            if words[:1] == ["lmsteer"]:
                options = {word for word in words if word.startswith("--")}
                missing = options - set(re.findall(r"--[a-z-]+", help_of(words[1])))
                assert not missing, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_import_that_is_shown_works(page):
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
        for module, names in re.findall(
            r"^from (lmsteer_core[\w.]*) import ([\w, ]+)$", block, re.M
        ):
            for name in names.split(", "):
                assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


GUIDES = [ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "docs/glossary.md")]
TO_BE_WRITTEN = {
    "lmsteer_core/ui/tabs/card/",
    "tests/ui/tabs/test_card_handlers.py",
    "tests/ui/tabs/test_card.py",
    "assets/card.css",
    "create_card_tab",
}
"""What the recipe for a new tab makes."""


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_names_files_that_exist(page):
    named = re.findall(r"`((?:assets|benchmarks|docs|lmsteer_core|tests)/[^`]*)`", page.read_text())
    assert [name for name in {*named} - TO_BE_WRITTEN if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_guide_names_functions_that_exist(page):
    sources = "".join(path.read_text() for path in ROOT.glob("[lt]*/**/*.py"))
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    named = {*re.findall(r"`((?:\w+\.)*\w+)(?:\(\w*\))?`", prose)} - TO_BE_WRITTEN
    assert {name.rpartition(".")[2] for name in named} - {*re.findall(r"\w+", sources)} == set()
