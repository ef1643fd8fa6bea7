"""Steer a language model's style through its output word embeddings.

    e' = (I + ε W) e        (Han et al., ACL 2024, arXiv 2305.12798)

Dimensions, by the names that every docstring uses:
    n_rows       texts generated or scored together, each with its own ε
    n_tokens     tokens of a text
    n_steers     steers that act at once
    d_model      width of the last hidden state and of a word embedding
    rank         columns of a steer's factors
    vocab_size   rows of the output embedding E
"""

from lmsteer_core.errors import Cancelled, InputError, LMSteerError, ModelError, SteerError
from lmsteer_core.generation.generate import Generated, Row, generate, stream
from lmsteer_core.generation.live_row import Token
from lmsteer_core.generation.sampling import Sampling
from lmsteer_core.models.language_model import LanguageModel
from lmsteer_core.models.loading import load_model
from lmsteer_core.steers.card import SteerCard
from lmsteer_core.steers.hook import Steering
from lmsteer_core.steers.steer import Steer
from lmsteer_core.training.sources.combined import Combined
from lmsteer_core.training.sources.descriptions import Descriptions
from lmsteer_core.training.sources.examples import Examples
from lmsteer_core.training.sources.labelled_text import LabelledText
from lmsteer_core.training.train import train

__version__ = "0.2.0"

__all__ = [
    "Cancelled",
    "Combined",
    "Descriptions",
    "Examples",
    "Generated",
    "InputError",
    "LMSteerError",
    "LabelledText",
    "LanguageModel",
    "ModelError",
    "Row",
    "Sampling",
    "Steer",
    "SteerCard",
    "SteerError",
    "Steering",
    "Token",
    "generate",
    "load_model",
    "stream",
    "train",
]
