"""Steer a language model's style through its output word embeddings.

    e' = (I + ε W) e        (Han et al., ACL 2024, arXiv 2305.12798)

Dimensions, by the names that every docstring uses:
    n_rows       texts generated or scored together, each with its own ε
    n_tokens     tokens of a text
    n_steers     steers that act at once
    d_model      width of the last hidden state and of a word embedding
    rank         columns of a steer's factors
    vocab_size   rows of the output embedding E

The public names stand in `__init__.pyi`. Each is imported at its first use, so that
`import lmsteer_core` and `--help` answer at once, without torch.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
