"""The notebooks of docs/ run from top to bottom, offline, with public names alone."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.ipynb"))
TRAINS = ("make-your-own", "another-model")
NOTEBOOKS_THAT_RUN = [
    pytest.param(path, marks=pytest.mark.long if path.stem in TRAINS else ()) for path in NOTEBOOKS
]
COLAB = "https://colab.research.google.com/github/lm-steer/workbench/blob/main/docs/notebooks/"


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_of(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.model
@pytest.mark.parametrize("path", NOTEBOOKS_THAT_RUN, ids=lambda path: path.stem, indirect=True)
def test_it_runs_offline_and_changes_nothing_on_disk(notebook, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("LMSTEER_HOME", str(tmp_path))
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}}).execute()
    assert list(tmp_path.iterdir()) == []


def test_it_imports_public_names_alone(notebook):
    modules = re.findall(r"(?:from|import) (lmsteer_core[\w.]*)", "\n".join(code_of(notebook)))
    assert set(modules) == {"lmsteer_core"}


def test_it_is_kept_with_its_results_and_small(path, notebook):
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert path.stat().st_size < 40_000


def test_its_badge_opens_it_in_colab(path, notebook):
    assert f"({COLAB}{path.name})" in notebook.cells[0].source
