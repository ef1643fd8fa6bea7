"""Replicas share the cores of several machines."""

from __future__ import annotations

import pytest

from lmsteer_core import InputError
from lmsteer_core.serving.cores import share_of_cores


def test_replicas_share_the_cores_and_none_goes_without() -> None:
    assert share_of_cores([8], 3) == 2
    assert share_of_cores([8, 4], 2) == 4
    assert share_of_cores([2, 16], 2) == 8
    with pytest.raises(InputError, match="5 replicas need a core each, and there are 4"):
        share_of_cores([2, 2], 5)
