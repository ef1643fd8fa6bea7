"""Unsteered texts: written once for a prompt and its sampling, whatever the sliders do."""

from __future__ import annotations

import threading
from typing import NamedTuple

from lmsteer_core.errors import LMSteerError
from lmsteer_core.generation.generate import Row
from lmsteer_core.generation.live_row import Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.decoder import Decoder
from lmsteer_core.serving.engine import Job
from lmsteer_core.workbench import Workbench


class _Key(NamedTuple):
    decoder: Decoder
    prompt: str
    sampling: Sampling
    prompt_ids: tuple[int, ...] = ()


class Baseline:
    """An unsteered text while it is written, in a thread of its own, and afterwards.

    Attributes:
        tokens: What is written; only ever appended to.
    """

    def __init__(self, job: Job) -> None:
        """Made by `Baselines`."""
        self.tokens: list[Token] = []
        self._job = job
        self._error: LMSteerError | None = None
        self._is_cut = False
        self._is_over = threading.Event()
        threading.Thread(target=self._write, name="lmsteer-baseline", daemon=True).start()

    def is_over(self, seconds: float = 0.0) -> bool:
        """Return whether the text has ended, and wait so long for it.

        Raises:
            LMSteerError: If it could not be written to its end.
        """
        is_over = self._is_over.wait(seconds)
        if self._error:
            raise self._error
        return is_over

    @property
    def is_usable(self) -> bool:
        """Whether it is whole or will be."""
        return not self._error and not self._is_cut

    def cut(self) -> None:
        """Write no further, unless it is whole."""
        if not self._is_over.is_set():
            self._is_cut = True

    def _write(self) -> None:
        try:
            for (token,) in self._job.steps(lambda: not self._is_cut):
                if token:
                    self.tokens.append(token)
        except LMSteerError as error:
            self._error = error
        finally:
            self._is_over.set()


class Baselines:
    """The baseline that each page last saw, and those of the opening examples."""

    def __init__(self, workbench: Workbench) -> None:
        """Start with none."""
        self._workbench = workbench
        self._of_all: dict[_Key, Baseline] = {}
        self._latest: dict[str, tuple[_Key, Baseline]] = {}
        self._lock = threading.Lock()

    def of_all(self, prompt: str, sampling: Sampling) -> Baseline:
        """Return a baseline that is kept for every page; errors as for `Workbench.submit`."""
        key = _Key(self._workbench.decoder, prompt, sampling)
        with self._lock:
            if key not in self._of_all:
                self._of_all[key] = self._begin(key)
            return self._of_all[key]

    def of(
        self, session: str, prompt: str, sampling: Sampling, prompt_ids: tuple[int, ...] = ()
    ) -> Baseline:
        """Return the baseline of a page, which forgets the one before if it is another.

        Arguments are as for `Row`, errors as for `Workbench.submit`.
        """
        key = _Key(self._workbench.decoder, prompt, sampling, prompt_ids)
        with self._lock:
            shared = self._of_all.get(key)
            if shared and shared.is_usable:
                return shared
            latest_key, latest = self._latest.get(session, (None, None))
            if latest and latest_key == key and latest.is_usable:
                return latest
            if latest:
                latest.cut()
            begun = self._begin(key)
            self._latest[session] = key, begun
            return begun

    def cut(self, session: str) -> None:
        """Write a page's baseline no further."""
        with self._lock:
            if session in self._latest:
                self._latest[session][1].cut()

    def forget(self, session: str) -> None:
        """Drop the baseline of a page that was closed."""
        self.cut(session)
        with self._lock:
            self._latest.pop(session, None)

    def _begin(self, key: _Key) -> Baseline:
        return Baseline(
            self._workbench.submit([Row(key.prompt, prompt_ids=key.prompt_ids)], key.sampling)
        )
