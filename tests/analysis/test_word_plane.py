"""All words on two axes and in clusters."""

import pytest
import torch

from lmsteer_core import LanguageModel, Steer
from lmsteer_core.analysis import word_plane
from lmsteer_core.analysis.dimensions import mean_logit_shift
from lmsteer_core.analysis.ordinary_text import expectations
from lmsteer_core.analysis.vocabulary import vocabulary
from lmsteer_core.analysis.word_clusters import clustering, frequency_free
from lmsteer_core.analysis.word_map import word_map
from lmsteer_core.analysis.word_plane import (
    WordPlane,
    neighbourhood_plane,
    neighbourhoods,
    principal_plane,
    word_frequencies,
    word_shifts,
)
from lmsteer_core.progress import finished


def test_words_move_on_the_principal_axes_as_their_embeddings_do(
    lm: LanguageModel, steer: Steer
) -> None:
    plane = principal_plane(lm, steer)
    rows = lm.output_embedding[vocabulary(lm).token_ids] - expectations(lm).embedding
    axes = torch.linalg.lstsq(rows, plane.positions).solution
    torch.testing.assert_close(axes.T @ axes, torch.eye(2), atol=1e-3, rtol=0)
    moved = (rows + 2.5 * rows @ steer.matrix().T) @ axes
    torch.testing.assert_close(plane.positions + 2.5 * plane.moves, moved, atol=1e-3, rtol=1e-3)
    spreads = torch.linalg.eigvalsh(torch.cov(rows.T.double()))
    torch.testing.assert_close(
        plane.positions.double().var(dim=0), spreads[[-1, -2]], atol=0, rtol=1e-3
    )


def test_without_a_steer_no_word_moves(lm: LanguageModel, steer: Steer) -> None:
    still = principal_plane(lm)
    assert torch.equal(still.positions, principal_plane(lm, steer).positions)
    assert not still.moves.any()
    assert not word_shifts(lm, None).any()


def test_a_locked_pole_s_words_have_no_shift(lm: LanguageModel, steer: Steer) -> None:
    shifts, shown = word_shifts(lm, steer), word_shifts(lm, steer, plus_only=True)
    assert torch.equal(shown.isnan(), shifts < 0)
    assert torch.equal(shown[shifts >= 0], shifts[shifts >= 0])
    assert torch.equal(shifts, mean_logit_shift(lm, steer))


def test_a_map_says_which_words_of_the_vocabulary_it_shows(lm: LanguageModel, steer: Steer) -> None:
    words = vocabulary(lm).words
    for plus_only in (False, True):
        mapped = word_map(lm, steer, plus_only=plus_only)
        assert [words[i] for i in mapped.shown.tolist()] == mapped.words


def test_frequencies_belong_to_the_words(lm: LanguageModel) -> None:
    words, probability = word_frequencies(lm)
    by_word = dict(zip(words, probability.tolist(), strict=True))
    assert by_word["the"] > 100 * by_word["wonderful"] > 0


def test_neighbourhoods_keep_groups_together() -> None:
    centres = torch.randn(3, 20, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(90, 20, generator=torch.Generator().manual_seed(2))
    group = torch.arange(90) % 3
    positions = neighbourhoods(4 * centres[group] + 0.3 * noise)
    assert positions.shape == (90, 2)
    assert positions.abs().max() == 1
    nearest = (torch.cdist(positions, positions) + torch.eye(90) * 9).argmin(dim=1)
    assert torch.equal(group[nearest], group)


def test_neighbourhoods_are_computed_once_for_a_vocabulary(
    lm: LanguageModel, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def slow(vectors: torch.Tensor) -> torch.Tensor:
        calls.append(len(vectors))
        return torch.rand(len(vectors), 2)

    monkeypatch.setenv("LMSTEER_CACHE", str(tmp_path))
    monkeypatch.setattr(word_plane, "neighbourhoods", slow)
    first, second = neighbourhood_plane(lm), neighbourhood_plane(lm)
    assert calls == [len(vocabulary(lm).words)]
    assert torch.equal(first.positions, second.positions)
    assert not first.moves.any()
    (file,) = (tmp_path / "neighbourhoods").iterdir()
    file.write_bytes(b"damaged")
    neighbourhood_plane(lm)
    assert len(calls) == 2


def test_clusters_part_all_words_and_are_named_by_members(lm: LanguageModel) -> None:
    words = vocabulary(lm).words
    clusters = finished(clustering(lm))
    assert finished(clustering(lm)) is clusters
    counts = clusters.labels.bincount(minlength=len(clusters.names))
    assert len(clusters.labels) == len(words)
    assert counts.min() > 0
    assert counts.tolist() == sorted(counts.tolist(), reverse=True)
    for c, name in enumerate(clusters.names):
        for word in name.split(", "):
            assert clusters.labels[words.index(word)] == c
    assert clusters.labels[words.index("Monday")] == clusters.labels[words.index("Tuesday")]


def test_a_word_is_nearer_to_its_cluster_than_to_the_average_other(lm: LanguageModel) -> None:
    labels, units = finished(clustering(lm)).labels, frequency_free(lm)
    centres = torch.stack([units[labels == c].mean(dim=0) for c in range(int(labels.max()) + 1)])
    assert (
        (units @ centres.T - centres.square().sum(dim=1) / 2).argmax(dim=1) == labels
    ).float().mean() > 0.98


def test_a_plane_s_positions_and_moves_belong_together() -> None:
    with pytest.raises(ValueError, match="n_words, 2"):
        WordPlane(("a", "b"), torch.zeros(3, 2), torch.zeros(2, 2))
