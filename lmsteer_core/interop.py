"""The names that published model cards import from here; they live in `lmsteer_core.exchange`."""

from lmsteer_core.exchange.checkpoint import read_official
from lmsteer_core.exchange.export import export_merged, export_peft
from lmsteer_core.exchange.hub import model_card, pull, push, save_repository

__all__ = [
    "export_merged",
    "export_peft",
    "model_card",
    "pull",
    "push",
    "read_official",
    "save_repository",
]
