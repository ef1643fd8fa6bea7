"""The embedded model as an OpenVINO graph: the same words, whatever else is being written."""

from __future__ import annotations

import gc
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from lmsteer_core import LanguageModel, Sampling, Steer
from lmsteer_core.generation.batch import Batch
from lmsteer_core.generation.live_row import LiveRow, Token
from lmsteer_core.models import graph_decoder as graph_decoder_module
from lmsteer_core.models.decoder_choice import MOST_DIVERGENCE, measure
from lmsteer_core.models.graph import graph_folder
from lmsteer_core.models.graph_decoder import GraphDecoder

PROMPTS = (
    "Yes",
    "Every morning",
    "She put the keys",
    "The old harbour was full of boats, and in the evening",
    "In the second week of the trial, when nobody expected it any more, the judge asked whether",
)


@pytest.fixture
def fast(lm: LanguageModel, graph_decoder: GraphDecoder):
    """The embedded model, whose texts the graph writes."""
    lm.decoder = graph_decoder
    yield lm
    lm.decoder = lm.reference


def row(lm: LanguageModel, i: int, steer: Steer, n_tokens: int = 10) -> LiveRow:
    """Return one of many rows: prompt, ε and random numbers all go by i."""
    epsilon = (0.0, 2.0, -1.5)[i % 3]
    ids = lm.encode(PROMPTS[i % len(PROMPTS)])[0]
    return LiveRow(ids, {"style": epsilon}, {"style": steer}, Sampling(0.9, 0.95, n_tokens, i))


def write(lm: LanguageModel, rows: Sequence[LiveRow], rng: random.Random | None = None):
    """Return each row's tokens; given random numbers, rows come when it pleases them."""
    batch, waiting = Batch(lm), list(rows)
    texts: dict[LiveRow, list[Token]] = {each: [] for each in rows}
    while waiting or batch.rows:
        n = len(rows) if rng is None else rng.choice((0, 0, 1, 3) if batch.rows else (1, 3))
        if n and waiting:
            batch.join(waiting[:n])
            del waiting[:n]
        for each, token in batch.step().items():
            if isinstance(token, Token):
                texts[each].append(token)
    return [[(t.id, t.logprob, t.base_logprob) for t in texts[each]] for each in rows]


def test_its_next_words_are_the_models(lm, graph_decoder):
    assert measure(lm, graph_decoder).divergence < MOST_DIVERGENCE / 2


def test_a_text_and_its_base_are_the_same_whatever_company_comes_and_goes(fast, steer):
    rows = range(0, 24)
    alone = [write(fast, [row(fast, i, steer)])[0] for i in rows]
    crowd = write(fast, [row(fast, i, steer) for i in rows], random.Random(1))
    assert [[t[0] for t in text] for text in crowd] == [[t[0] for t in text] for text in alone]
    for i in range(0, 24, 3):  # unsteered ones, to the last bit
        assert crowd[i] == alone[i]
        assert all(logprob == base for _, logprob, base in crowd[i])


@pytest.mark.parametrize("per_step", [2, 3, 7, 16, 1024])
def test_a_prompt_is_the_same_in_whatever_pieces_it_is_read(fast, steer, monkeypatch, per_step):
    whole = write(fast, [row(fast, 3, steer), row(fast, 4, steer)])
    monkeypatch.setattr("lmsteer_core.generation.batch._PROMPT_TOKENS_PER_STEP", per_step)
    assert write(fast, [row(fast, 3, steer), row(fast, 4, steer)]) == whole


def test_a_finished_text_leaves_no_block_behind(fast, graph_decoder, steer):
    pool = graph_decoder._pool
    n_blocks = pool._tensors[0].shape[0]
    write(fast, [row(fast, i, steer) for i in range(5)])
    gc.collect()
    assert sorted(pool.free) == list(range(n_blocks))


def test_its_cache_grows_under_running_texts(lm, fast, steer, monkeypatch):
    rows = [row(fast, i, steer, n_tokens=70) for i in range(3)]
    roomy = write(fast, [row(fast, i, steer, n_tokens=70) for i in range(3)])
    monkeypatch.setattr(graph_decoder_module, "_FIRST_BLOCKS", 1)
    lm.decoder = GraphDecoder(graph_folder(lm.model))
    assert write(lm, rows) == roomy


def test_two_threads_write_at_once(fast, steer):
    alone = [write(fast, [row(fast, i, steer)])[0] for i in range(6)]
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(write, fast, [row(fast, i, steer)]) for i in range(6)]
        assert [job.result()[0] for job in jobs] == alone


def test_a_text_ends_with_the_decoder_that_began_it(lm, graph_decoder, steer):
    torchs, graphs = (row(lm, i, steer) for i in (3, 4))
    batch = Batch(lm)
    texts: dict[LiveRow, list[int]] = {torchs: [], graphs: []}

    def step() -> None:
        for each, token in batch.step().items():
            texts[each] += [token.id] if isinstance(token, Token) else []

    batch.join([torchs])
    step()
    lm.decoder = graph_decoder
    batch.join([graphs])
    while batch.rows:
        step()
    expected = write(lm, [row(lm, 4, steer)])[0]
    lm.decoder = lm.reference
    assert texts[graphs] == [t[0] for t in expected]
    assert texts[torchs] == [t[0] for t in write(lm, [row(lm, 3, steer)])[0]]


def test_what_the_graph_cannot_read_the_model_does(lm, fast, graph_decoder, steer, monkeypatch):
    def fail(*_args: torch.Tensor) -> None:
        raise RuntimeError("no primitive")

    monkeypatch.setattr(graph_decoder, "_infer", fail)
    written = write(fast, [row(fast, i, steer) for i in range(3)])
    lm.decoder = lm.reference
    alone = [write(lm, [row(lm, i, steer)])[0] for i in range(3)]
    assert [[t[0] for t in text] for text in written] == [[t[0] for t in text] for text in alone]
