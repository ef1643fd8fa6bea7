"""One model, its steers, many callers: what the app and the command line both stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lmsteer_core.analysis.next_word import NextWords, next_words
from lmsteer_core.errors import SteerError
from lmsteer_core.generation.generate import Row, live_rows
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.loading import load_model
from lmsteer_core.models.packages import EMBEDDED
from lmsteer_core.progress import Progress, finished
from lmsteer_core.serving.engine import Engine, Step
from lmsteer_core.steers.card import CARD_FILE
from lmsteer_core.steers.library import discover, steer_folders
from lmsteer_core.steers.steer import Steer, check_fingerprint
from lmsteer_core.text import check_text
from lmsteer_core.training.sources.source import Source
from lmsteer_core.training.train import train


class Workbench:
    """A language model with every steer found for it.

    Attributes:
        lm: The language model.
        steers: Its steers by name.
        problems: One sentence per steer on disk that cannot be read.
    """

    def __init__(self, lm: LanguageModel) -> None:
        """Find the model's steers, a user's own before the shipped ones."""
        self.lm = lm
        self.steers, self.problems = discover(steer_folders(), lm.fingerprint_rows, lm.model_id)
        self.engine = Engine(lm)

    @classmethod
    def open(
        cls, model_id: str = EMBEDDED, *, device: str = "auto", dtype: str = "auto"
    ) -> Workbench:
        """Load a model and its steers; arguments and errors as for `load_model`."""
        return cls(load_model(model_id, device=device, dtype=dtype))

    def steer(self, name: str) -> Steer:
        """Return a steer by name, or by the path of its folder.

        Raises:
            SteerError: If there is none, it cannot be read, or it is another model's.
        """
        check_text(name, "steer's name")
        if name in self.steers:
            return self.steers[name]
        try:
            folder = Path(name).expanduser()
            is_steer = (folder / CARD_FILE).is_file()
        except (OSError, RuntimeError, ValueError):  # too long for a path, an unknown ~user, a NUL
            is_steer = False
        if is_steer:
            steer = Steer.load(folder)
            check_fingerprint(steer, self.lm.fingerprint_rows, self.lm.model_id)
            self.steers[name] = steer
            return steer
        known = ", ".join(sorted(self.steers)) or "none"
        raise SteerError(
            f"There is no steer named '{name}' for {self.lm.model_id}; available: {known}."
        )

    @property
    def names(self) -> list[str]:
        """Names of the steers: sentiment first as the plainest, those with a notice last."""
        return sorted(
            self.steers, key=lambda n: (bool(self.steers[n].card.notice), n != "sentiment", n)
        )

    def stream(
        self,
        rows: Sequence[Row],
        sampling: Sampling,
        *,
        extra: Mapping[str, Steer] = MappingProxyType({}),
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Iterator[Step]:
        """Yield tokens step by step as `generate.stream` does, beside whatever others are writing.

        `extra` are steers of this caller alone, by name, used next to the shared ones.
        Unknown steers and bad ε raise at once; a caller whose `is_wanted` turns False, while it
        waits or later, ends without an error.
        """
        steers = {**self.steers, **extra}
        return self.engine.submit(live_rows(self.lm, rows, steers, sampling)).steps(is_wanted)

    def next_words(self, prompt: str, steer: Steer, **options: Any) -> NextWords:
        """Return `next_word.next_words`, made in the engine's thread.

        A long prompt is read in steps.
        """
        ids, _ = self.lm.encode(prompt, reserve=1)
        finished(self.engine.work(self.lm.next_state(ids)))
        return self.engine.call(lambda: next_words(self.lm, prompt, steer, **options))

    def train(self, name: str, source: Source, progress: Progress) -> Steer:
        """Return a steer made from a source, as `train.train` does; nothing here changes."""
        self.engine.call(lambda: self.lm.for_batches)  # a copy of the model, while nobody steers it
        return train(self.lm, name, source, progress=progress)
