"""The exception tree. Every message is one sentence that says what to do.

LMSteerError
├── ModelError      a model cannot be found, read or used
├── SteerError      a steer cannot be found, read or applied to this model
├── InputError      a prompt, a setting or a data file is not usable
│   └── ContextError    a prompt is too long
└── Cancelled       the caller stopped the work
"""

OUT_OF_MEMORY = "Memory ran out: shorten the prompt or generate fewer texts at once."


class LMSteerError(Exception):
    """Base of everything this library raises on purpose; safe to show to a user."""


class ModelError(LMSteerError):
    """The language model cannot be found, read or used."""


class SteerError(LMSteerError):
    """The steer cannot be found, read, saved or applied to this model."""


class InputError(LMSteerError):
    """A prompt, a setting or a data file cannot be used as given."""


class ContextError(InputError):
    """A prompt does not fit the model's context beside the text to be written."""


class Cancelled(LMSteerError):
    """Raised by a caller's `progress` to stop the work it reports on."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type, without a full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the machine's memory, or the accelerator's, ran out.

    Torch raises many types.
    """
    text = str(error).lower()
    return (
        isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text
    )
