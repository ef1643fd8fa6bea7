"""Whatever is sent to whichever entrance: a sentence, and everybody else's text as it was."""

from __future__ import annotations

import pytest

from benchmarks.bad_requests import is_sentence, run


# Gradio, in this process here, now and then sums up its queue with what pandas deprecates.
@pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting' is deprecated")
def test_bad_requests_at_every_entrance_are_sentences_and_good_texts_stay_as_they_are(lm) -> None:
    report = run(lm, 240, seed=7)
    assert report.not_refused == {}
    assert sum(report.sent.values()) == 240
    assert report.n_good > 0
    assert report.n_changed == 0
    assert report.n_restarts == 0


def test_what_is_no_sentence_is_told_from_one() -> None:
    assert is_sentence("The prompt is empty: write a few words.")
    for message in (None, "", "Error", "one\ntwo lines here", "Traceback: it was ValueError()"):
        assert not is_sentence(message)
