"""Steers fit every copy of their model, one with more tokens among them."""

from __future__ import annotations

import pytest
import torch
from support.models import make_steer, make_tiny
from torch import nn

from lmsteer_core import LanguageModel, SteerError
from lmsteer_core.analysis.dimensions import overlap
from lmsteer_core.analysis.next_word import next_words
from lmsteer_core.steers.library import discover
from lmsteer_core.steers.steer import bound, check_fingerprint
from lmsteer_core.workbench import Workbench


@pytest.fixture(scope="module")
def longer(lm):
    """The embedded model with one token more."""
    own = lm.model.get_output_embeddings().weight  # resizing writes into it
    model = lm.twin({id(own): nn.Parameter(own.clone(), requires_grad=False)}).model
    model.resize_token_embeddings(lm.vocab_size + 1)
    return LanguageModel(model, lm.tokenizer, "longer")


def test_shipped_steers_fit_a_copy_with_one_token_more(lm, longer):
    known, found = Workbench(lm).steers, Workbench(longer).steers
    assert longer.vocab_size == 49_153
    assert found.keys() == known.keys()
    both = found["sentiment"] + found["formality"]
    expected = found["sentiment"].matrix() + found["formality"].matrix()
    torch.testing.assert_close(both.matrix(), expected)
    assert overlap(list(found.values())).shape == (len(found), len(found))


def test_their_figures_are_those_of_the_original(lm, longer):
    steer = Workbench(lm).steers["sentiment"]
    expected, found = (next_words(each, "My life is", steer) for each in (lm, longer))
    assert [w.text for w in found.words] == [w.text for w in expected.words]
    for one, other in zip(found.words, expected.words, strict=True):
        assert one.probability == pytest.approx(other.probability, abs=1e-3)


def test_a_steer_made_for_the_copy_fits_the_original(lm, longer):
    steer = make_steer(longer.output_embedding, model_id="longer")
    check_fingerprint(steer, lm.output_embedding, lm.model_id)
    shipped = Workbench(lm).steers["sentiment"]
    with pytest.raises(SteerError, match="made for longer"):
        shipped + steer
    assert (shipped + bound(steer, lm.output_embedding, lm.model_id)).rank == shipped.rank + 4


def test_only_the_models_own_steers_are_found(tmp_path):
    model, other = (make_tiny("llama", seed=seed).get_output_embeddings().weight for seed in (0, 1))
    for name, embedding in (("own", model), ("foreign", other)):
        make_steer(embedding, name=name).save(tmp_path / "any" / name)
    longer = torch.cat([model, other[:2]])
    for embedding in (model, longer):
        steers, problems = discover([tmp_path], embedding, "tiny")
        assert (list(steers), problems) == (["own"], [])
