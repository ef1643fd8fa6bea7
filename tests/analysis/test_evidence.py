import math
import random
import tracemalloc
from collections.abc import Generator

import pytest
import torch
from support.calls import record_calls
from support.models import make_steer

from lmsteer_core import InputError, LanguageModel, Steer, Steering
from lmsteer_core.analysis import evidence as evidence_module
from lmsteer_core.analysis import reading as reading_module
from lmsteer_core.analysis import spans as spans_module
from lmsteer_core.analysis.evidence import (
    POSTERIOR_GRID,
    evidence,
    log_probabilities,
    posterior,
    profile,
    profiling,
    weigh,
)
from lmsteer_core.analysis.logits import logits_over_epsilon
from lmsteer_core.analysis.reading import _windows, read_text, reading
from lmsteer_core.analysis.spans import Span, strongest_spans, units
from lmsteer_core.models import language_model

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


def test_log_probabilities_are_exact_at_any_epsilons_in_any_order(
    lm: LanguageModel, steer: Steer
) -> None:
    read = read_text(lm, TEXT)
    epsilons = [2.0, *POSTERIOR_GRID, -9.5, 0.1, 2.0, 10.0]
    table = log_probabilities(lm, read, steer, epsilons)
    base, moved = logits_over_epsilon(lm, steer, read.hidden)
    targets = torch.tensor(read.token_ids[1:])[:, None]
    for epsilon, row in zip(epsilons, table, strict=True):
        logits = base.double() + epsilon * moved.double()
        expected = logits.log_softmax(dim=1).gather(1, targets)[:, 0]
        assert torch.allclose(row[1:].double(), expected, rtol=1e-6, atol=1e-5)


def test_the_first_token_has_no_evidence(lm: LanguageModel, steer: Steer) -> None:
    assert evidence(lm, read_text(lm, TEXT), steer)[0] == 0


def test_token_texts_join_to_the_text(lm: LanguageModel) -> None:
    assert "".join(read_text(lm, TEXT).token_texts) == TEXT


def test_posterior_is_the_softmax_of_the_texts_log_likelihood(
    lm: LanguageModel, steer: Steer
) -> None:
    read = read_text(lm, TEXT)
    grid = [-2.0, 0.0, 2.0]
    totals = log_probabilities(lm, read, steer, grid).sum(dim=1).double()
    weights = (totals - totals.max()).exp()
    assert posterior(lm, read, steer, grid) == pytest.approx(
        (weights / weights.sum()).tolist(), abs=1e-5
    )
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


def test_a_text_of_one_token_has_no_evidence_and_a_flat_posterior(
    lm: LanguageModel, steer: Steer
) -> None:
    read = read_text(lm, "the")
    assert evidence(lm, read, steer) == [0.0]
    assert posterior(lm, read, steer, [-1.0, 1.0]) == pytest.approx([0.5, 0.5])


def test_weighing_equals_evidence_and_posterior(lm: LanguageModel, steer: Steer) -> None:
    read = read_text(lm, TEXT)
    found = weigh(lm, read, steer, epsilon=1.5, epsilons=[-2.0, 0.5, 2.0])
    assert found.evidence == pytest.approx(evidence(lm, read, steer, 1.5), abs=1e-5)
    assert found.posterior == pytest.approx(posterior(lm, read, steer, [-2.0, 0.5, 2.0]), abs=1e-6)
    assert found.epsilons == [-2.0, 0.5, 2.0]
    assert found.total == pytest.approx(sum(found.evidence))


def test_a_profile_reads_the_backbone_once_for_all_steers(
    lm: LanguageModel, steer: Steer, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_steer(lm.output_embedding, norm=0.6, seed=9, name="other", model_id=lm.model_id)
    passes = record_calls(monkeypatch, language_model, "read")
    read = read_text(lm, TEXT)
    found = profile(lm, read, [steer, other])
    assert len(passes) == 1
    assert [w.name for w in found] == [steer.name, "other"]
    for each, own in zip(found, [steer, other], strict=True):
        belief = posterior(lm, read, own, POSTERIOR_GRID)
        assert each.total == pytest.approx(sum(evidence(lm, read, own)), abs=1e-4)
        assert each.best_epsilon == POSTERIOR_GRID[max(range(41), key=belief.__getitem__)]


def steps_of(work: Generator[float, None, object]) -> tuple[list[float], object]:
    """Return the shares that were yielded and what was made."""
    shares = []
    try:
        while True:
            shares.append(next(work))
    except StopIteration as end:
        return shares, end.value


def test_work_in_steps_tells_its_share_and_equals_the_whole(
    small: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    steer = make_steer(small.output_embedding, norm=0.5)
    monkeypatch.setattr(LanguageModel, "context_length", 16)
    monkeypatch.setattr(evidence_module, "_TOKENS_PER_CHUNK", 8)
    shares, read = steps_of(reading(small, TEXT * 3))
    assert isinstance(read, reading_module.ReadText)
    assert len(shares) > 2
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert torch.equal(read.hidden, read_text(small, TEXT * 3).hidden)
    shares, found = steps_of(profiling(small, read, [steer]))
    assert len(shares) > 2
    assert shares[-1] == 1
    assert found == profile(small, read, [steer])


def test_the_beginning_of_a_text_weighs_as_it_does_in_the_whole(small: LanguageModel) -> None:
    steer = make_steer(small.output_embedding, norm=0.5)
    read = read_text(small, TEXT)
    start = read.beginning(5)
    assert start.cut
    assert len(start.token_ids) == len(start.token_texts) == 5
    assert evidence(small, start, steer) == pytest.approx(
        evidence(small, read, steer)[:5], abs=1e-5
    )
    assert read.beginning(1_000) is read


def test_the_best_of_a_flat_posterior_is_zero(lm: LanguageModel, steer: Steer) -> None:
    assert weigh(lm, read_text(lm, "the"), steer).best_epsilon == 0


@pytest.mark.parametrize(
    ("n_tokens", "width"), [(1, 8), (8, 8), (9, 8), (12, 8), (13, 8), (100, 7), (5, 2)]
)
def test_windows_predict_every_token_once_from_half_a_window(n_tokens: int, width: int) -> None:
    windows = list(_windows(n_tokens, width))
    predicted = [t for _, first, stop in windows for t in range(first, stop)]
    assert predicted == list(range(1, n_tokens))
    for start, first, stop in windows:
        assert 0 <= start < first or n_tokens == 1
        assert stop - start <= width
        assert start == 0 or first - start >= width / 2


def test_one_window_equals_the_single_pass(small: LanguageModel) -> None:
    read = read_text(small, "word " * 300)
    assert len(read.token_ids) <= small.context_length
    single = small.hidden_states([small.prefix_ids + read.token_ids])[0][len(small.prefix_ids) : -1]
    assert torch.equal(read.hidden, single)


def test_a_text_beyond_the_context_is_read_whole_in_windows(
    small: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = " ".join(f"{word} and" for word in ("sun", "rain", "wind", "snow") * 6)
    whole = read_text(small, text)
    monkeypatch.setattr(LanguageModel, "context_length", 16)
    read = read_text(small, text)
    assert not read.cut
    assert read.token_ids == whole.token_ids
    assert "".join(read.token_texts) == text
    assert read.hidden.shape == whole.hidden.shape
    assert torch.allclose(read.hidden[:15], whole.hidden[:15], atol=1e-4)
    # Token 24 is the first that the window after next predicts: from tokens 16 to 23 alone.
    alone = small.hidden_states([read.token_ids[16:24]])[0][-1]
    assert torch.allclose(read.hidden[23], alone, atol=1e-4)


def test_a_text_beyond_the_limit_is_cut_and_says_so(
    small: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading_module, "MAX_TOKENS", 40)
    read = read_text(small, "word " * 100)
    assert read.cut
    assert len(read.token_ids) == 40
    assert read.hidden.shape[0] == 39


UNITS = "Mr. Fox ran — fast! “Did he?” she\nasked. 我们走吧。好 👍🏽 ok... then e.g. this"


@pytest.mark.parametrize("kind", ["tokens", "words", "sentences"])
def test_units_hold_all_evidence_once(lm: LanguageModel, kind: spans_module.UnitKind) -> None:
    texts = read_text(lm, UNITS).token_texts
    values = [float(i) for i in range(len(texts))]
    found = units(texts, values, kind)
    assert sum(u.evidence for u in found) == sum(values)
    assert all(u.text == UNITS[u.start : u.end] for u in found)
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))
    assert "".join("".join(u.text for u in found).split()) == "".join(UNITS.split())


def test_words_and_sentences_end_where_a_reader_ends_them(lm: LanguageModel) -> None:
    texts = read_text(lm, UNITS).token_texts
    words = [u.text for u in units(texts, [0.0] * len(texts), "words")]
    assert words[:8] == ["Mr.", "Fox", "ran", "—", "fast!", "“Did", "he?”", "she"]
    assert words[-4:] == ["ok...", "then", "e.g.", "this"]
    assert "我" in words
    sentences = [u.text for u in units(texts, [0.0] * len(texts), "sentences")]
    assert sentences == [
        "Mr.",
        "Fox ran — fast!",
        "“Did he?” she",
        "asked.",
        "我们走吧。",
        "好 👍🏽 ok... then e.g. this",
    ]


def test_a_words_evidence_is_that_of_its_tokens() -> None:
    found = units([" un", "bear", "able", " joy", "!"], [1.0, 2.0, 3.0, -4.0, 0.5], "words")
    assert [(u.text, u.start, u.end, u.evidence) for u in found] == [
        ("unbearable", 1, 11, 6.0),
        ("joy!", 12, 16, -3.5),
    ]
    assert units([], [], "words") == units([], [], "sentences") == units([], [], "tokens") == []


def test_units_of_a_hostile_text_take_linear_time() -> None:
    for piece in (".", " ", "\n", "。", "!?'"):
        assert units([piece] * 100_000, [1.0] * 100_000, "sentences")


def test_a_posterior_over_the_official_loss(small: LanguageModel) -> None:
    """The official analysis: mean loss of the text at every grid point, one forward pass each."""
    steer = make_steer(small.output_embedding, norm=0.5)
    read = read_text(small, TEXT)
    ids = torch.tensor([read.token_ids])
    losses = []
    for epsilon in POSTERIOR_GRID:
        with Steering(small.model, [steer], [[epsilon]]), torch.inference_mode():
            losses.append(small.model(ids, labels=ids).loss.double())
    weights = (-torch.stack(losses) * (len(read.token_ids) - 1)).softmax(0)
    found = weigh(small, read, steer)
    assert found.posterior == pytest.approx(weights.tolist(), abs=1e-3)
    assert found.best_epsilon == POSTERIOR_GRID[int(torch.stack(losses).argmin())]


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


def spans_by_search(values: list[float], n_spans: int, max_tokens: int) -> list[tuple[int, int]]:
    """Return the spans by listing all of them and taking the best that is still free."""
    every = []
    for start in range(len(values)):
        for end in range(start + 1, min(start + max_tokens, len(values)) + 1):
            total = sum(values[start:end])
            if total and values[start] * total > 0 and values[end - 1] * total > 0:
                every.append((-abs(total), start, end))
    taken: list[tuple[int, int]] = []
    for _, start, end in sorted(every):
        if len(taken) < n_spans and all(end <= a or start >= b for a, b in taken):
            taken.append((start, end))
    return taken


@pytest.mark.parametrize("seed", range(6))
def test_spans_equal_an_exhaustive_search(seed: int) -> None:
    rng = random.Random(seed)
    # Whole numbers make ties.
    values = [float(rng.randint(-3, 3)) for _ in range(60)]
    found = strongest_spans(["a"] * 60, values, n_spans=12, max_tokens=7)
    assert [(s.start, s.end) for s in found] == spans_by_search(values, 12, 7)


def test_spans_of_a_long_text_need_little_memory() -> None:
    rng = random.Random(0)
    values = [rng.gauss(0, 1) for _ in range(100_000)]
    texts = ["a"] * len(values)
    tracemalloc.start()
    found = strongest_spans(texts, values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 5
    assert peak < 20e6


def test_no_tokens_and_no_evidence_have_no_spans() -> None:
    assert strongest_spans([], []) == []
    assert strongest_spans(["a", "b"], [0.0, 0.0]) == []
    assert strongest_spans(["a"], [-2.0]) == [Span("a", 0, 1, -2.0)]
