"""A tiny model behind the HTTP API, with one steer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.models import make_steer
from support.serving import serve

from lmsteer_core import LanguageModel
from lmsteer_core.workbench import Workbench


@pytest.fixture(scope="module")
def tiny_workbench(small: LanguageModel) -> Iterator[Workbench]:
    """The tiny model and its steer, calm."""
    workbench = Workbench(small)
    workbench.steers = {
        "calm": make_steer(small.output_embedding, name="calm", rank=2, norm=1.5, model_id="tiny")
    }
    yield workbench
    workbench.close()


@pytest.fixture(scope="module")
def tiny_url(tiny_workbench: Workbench) -> Iterator[str]:
    """Where the tiny model's API answers."""
    server, address = serve(tiny_workbench, None)
    yield address
    server.should_exit = True
