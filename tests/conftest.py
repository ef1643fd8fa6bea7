"""What several test modules share: the embedded model, a seeded steer, tiny random models."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi, constants
from support.hub import FakeHub
from support.models import TINY_CONFIGS, make_plain, make_steer, make_tiny
from support.serving import serve
from transformers import LlamaForCausalLM, PreTrainedModel

from lmsteer_core import LanguageModel, Sampling, Steer, load_model
from lmsteer_core.models.decoder import Decoder
from lmsteer_core.models.graph import graph_folder
from lmsteer_core.models.graph_decoder import GraphDecoder
from lmsteer_core.training.neutral_text import PlainText
from lmsteer_core.workbench import Workbench

# As `make test` has it: two threads on a busy machine wait for each other, half a minute a test.
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))

_MARKED_BY_FIXTURE = {"lm": "model", "app_url": "model", "browser": "browser"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the embedded model or a browser, by the fixtures that a test asks for.

    `pytest -m "not model and not browser"` is the inner loop.
    """
    for item in items:
        for fixture in _MARKED_BY_FIXTURE.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(_MARKED_BY_FIXTURE[fixture])


@pytest.fixture(params=list(TINY_CONFIGS))
def tiny(request: pytest.FixtureRequest) -> PreTrainedModel:
    """Every architecture in turn, tiny and random."""
    return make_tiny(request.param)


@pytest.fixture
def llama() -> PreTrainedModel:
    """One tiny random model."""
    return make_tiny("llama")


@pytest.fixture
def steer_for() -> Callable[..., Steer]:
    """Make a random steer for a model."""

    def make(model: PreTrainedModel, **settings: Any) -> Steer:
        return make_steer(model.get_output_embeddings().weight, **settings)

    return make


@pytest.fixture(scope="session")
def lm() -> LanguageModel:
    """The embedded model itself."""
    return load_model("embedded", dtype="float32")


@pytest.fixture(scope="session")
def graph_decoder(lm: LanguageModel) -> GraphDecoder:
    """What writes the embedded model's texts where OpenVINO is the faster."""
    return GraphDecoder(graph_folder(lm.model))


@pytest.fixture(params=["torch", "openvino"])
def decoder(request: pytest.FixtureRequest, lm: LanguageModel) -> Iterator[Decoder]:
    """Each decoder in turn writes the embedded model's texts."""
    if request.param == "openvino":
        lm.decoder = request.getfixturevalue("graph_decoder")
    yield lm.decoder
    lm.decoder = lm.reference


@pytest.fixture(scope="session")
def small(lm: LanguageModel) -> LanguageModel:
    """A tiny random llama that reads the embedded model's tokens."""
    config = copy.deepcopy(TINY_CONFIGS["llama"])
    config.vocab_size, config.max_position_embeddings = lm.vocab_size, 512
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        for parameter in model.parameters():
            parameter.data += 0.2 * torch.randn_like(parameter)
    return LanguageModel(model, lm.tokenizer, "tiny")


@pytest.fixture(scope="session")
def small_plain(small: LanguageModel) -> PlainText:
    """Neutral text of the tiny model."""
    return make_plain(small)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calibration read only a few tokens of each continuation."""
    monkeypatch.setattr("lmsteer_core.training.calibration._SAMPLING", Sampling(1.0, 0.9, 4))


@pytest.fixture(scope="session")
def steer(lm: LanguageModel) -> Steer:
    """A random steer of the embedded model, gentle enough for its text to stay sane."""
    return make_steer(lm.output_embedding, rank=8, norm=0.4, model_id=lm.model_id)


@pytest.fixture(scope="module")
def workbench(lm: LanguageModel) -> Iterator[Workbench]:
    """The embedded model with the steers that ship."""
    opened = Workbench(lm)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def url(workbench: Workbench) -> Iterator[str]:
    """Where that workbench's HTTP API answers."""
    server, address = serve(workbench, None)
    yield address
    server.should_exit = True


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[type[FakeHub]]:
    """A hub on this machine, to which the real client speaks."""

    class Hub(FakeHub):
        files, asked = {}, []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    endpoint = "http://{}:{}".format(*server.server_address)
    monkeypatch.setattr("lmsteer_core.exchange.hub.HfApi", partial(HfApi, endpoint=endpoint))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    Hub.endpoint = endpoint
    yield Hub
    server.shutdown()
    server.server_close()
