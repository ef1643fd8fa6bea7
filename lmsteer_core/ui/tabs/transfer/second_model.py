"""One more language model beside the app's, loaded when somebody asks for it."""

from __future__ import annotations

import threading

from lmsteer_core.errors import ModelError
from lmsteer_core.models.catalogue import available_models
from lmsteer_core.workbench import Workbench


class SecondModel:
    """The app's model and the one other that was asked for last; memory holds no third."""

    def __init__(self, workbench: Workbench) -> None:
        """Start with the app's model alone."""
        self._workbench = workbench
        self._other: tuple[str, Workbench] | None = None
        self._lock = threading.Lock()

    @property
    def choices(self) -> list[tuple[str, str]]:
        """What a page may choose: (name, id) of the app's model, then of those installed.

        Nothing else: a visitor must not make the server download or read what it likes.
        """
        here = self._workbench.model_id
        others = [(row["name"], row["id"]) for row in available_models() if row["name"] != here]
        return [(here, here), *others]

    def is_own(self, model_id: str) -> bool:
        """Return whether this is the app's model."""
        return model_id == self._workbench.model_id

    def open(self, model_id: str) -> Workbench:
        """Return the workbench of a model; loading another takes seconds and lets the last one go.

        Raises:
            ModelError: If it is none of `choices` or cannot be loaded.
        """
        if self.is_own(model_id):
            return self._workbench
        if model_id not in (choice for _, choice in self.choices):
            raise ModelError("Choose one of the models that are installed here.")
        with self._lock:
            if self._other is None or self._other[0] != model_id:
                self._other = None
                self._other = model_id, Workbench.open(model_id)
            return self._other[1]
