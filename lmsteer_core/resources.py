"""The one place that knows where assets and shipped steers lie: in a checkout or in a wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent


def _shipped(name: str) -> Path:
    """Return a folder that a wheel has inside the package and a checkout beside it."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


ASSETS = _shipped("assets")
PRETRAINED_STEERS = _shipped("pretrained_steers")
