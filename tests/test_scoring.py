import math

import pytest
import torch

from lmsteer_core import InputError, LanguageModel, Steer, Steering
from lmsteer_core.scoring import evidence, log_probabilities, posterior, read_text, strongest_spans

TEXT = "The soup was cold 🍲, but we loved the view."


def test_evidence_equals_two_steered_forward_passes(lm: LanguageModel, steer: Steer) -> None:
    read = read_text(lm, TEXT)
    ids = torch.tensor([read.token_ids])
    passes = []
    for epsilon in (1.0, -1.0):
        with Steering(lm.model, [steer], [[epsilon]]), torch.inference_mode():
            log_p = lm.model(ids).logits[0, :-1].log_softmax(-1)
        passes.append(log_p.gather(1, ids[0, 1:, None])[:, 0])
    expected = [0.0, *(passes[0] - passes[1]).tolist()]
    assert evidence(lm, read, steer) == pytest.approx(expected, abs=2e-3)


def test_the_first_token_has_no_evidence(lm: LanguageModel, steer: Steer) -> None:
    assert evidence(lm, read_text(lm, TEXT), steer)[0] == 0


def test_token_texts_join_to_the_text(lm: LanguageModel) -> None:
    assert "".join(read_text(lm, TEXT).token_texts) == TEXT


def test_posterior_is_the_softmax_of_the_texts_log_likelihood(lm: LanguageModel, steer: Steer) -> None:
    read = read_text(lm, TEXT)
    grid = [-2.0, 0.0, 2.0]
    totals = log_probabilities(lm, read, steer, grid).sum(dim=1).double()
    weights = (totals - totals.max()).exp()
    assert posterior(lm, read, steer, grid) == pytest.approx((weights / weights.sum()).tolist(), abs=1e-5)
    assert sum(posterior(lm, read, steer, grid)) == pytest.approx(1)


def test_a_text_generated_at_a_pole_is_recognised(lm: LanguageModel, steer: Steer) -> None:
    from lmsteer_core import Row, Sampling, generate

    sampling = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=30)
    rows = [Row("The garden", {"random": e}, seed_offset=i) for i in range(4) for e in (4.0, -4.0)]
    done = generate(lm, rows, {"random": steer}, sampling)
    total = {4.0: 0.0, -4.0: 0.0}
    for generated in done:
        read = read_text(lm, "The garden" + generated.text)
        total[generated.row.epsilons["random"]] += sum(evidence(lm, read, steer))
    assert total[4.0] > 0 > total[-4.0]


def test_an_empty_text_is_refused(lm: LanguageModel) -> None:
    with pytest.raises(InputError, match="empty"):
        read_text(lm, " \n")


def test_a_text_of_one_token_has_no_evidence_and_a_flat_posterior(lm: LanguageModel, steer: Steer) -> None:
    read = read_text(lm, "the")
    assert evidence(lm, read, steer) == [0.0]
    assert posterior(lm, read, steer, [-1.0, 1.0]) == pytest.approx([0.5, 0.5])


def test_a_text_beyond_the_context_is_cut_and_says_so(lm: LanguageModel) -> None:
    read = read_text(lm, "word " * (lm.context_length + 10))
    assert read.cut
    assert len(read.token_ids) == lm.context_length


def test_strongest_spans_are_disjoint_and_ordered() -> None:
    texts = [f" w{i}" for i in range(8)]
    values = [0.0, 3.0, -0.5, 2.0, -4.0, -1.0, 0.1, 1.0]
    spans = strongest_spans(texts, values, n_spans=3)
    assert [(s.start, s.end) for s in spans] == [(4, 6), (1, 4), (6, 8)]
    assert [s.evidence for s in spans] == pytest.approx([-5.0, 4.5, 1.1])
    assert spans[1].text == "w1 w2 w3"


def test_no_span_is_longer_than_asked() -> None:
    spans = strongest_spans(["a"] * 9, [1.0] * 9, n_spans=9, max_tokens=2)
    assert max(s.end - s.start for s in spans) == 2
    assert math.isclose(sum(s.evidence for s in spans), 9.0)
