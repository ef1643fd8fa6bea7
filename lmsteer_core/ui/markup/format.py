"""How numbers, probabilities and blank characters are written."""

from __future__ import annotations


def signed(value: float, form: str = "+.2f") -> str:
    """Return a number with a real minus sign; one that rounds to 0 has no sign."""
    text = format(value, form).replace("-", "−")
    return text if any(digit in "123456789" for digit in text) else text.lstrip("+−")


def epsilon_text(epsilon: float) -> str:
    """Return ε with a real minus sign, e.g. "+1.5", "0", "−3"."""
    return signed(epsilon, "+.3g")


def percent(p: float) -> str:
    """Return a probability in percent."""
    number = f"{100 * p:.0f}" if p >= 0.1 else f"{100 * p:.2g}" if p >= 1e-4 else "<\u00a00.01"
    return f"{number}\u00a0%"


def visible(text: str) -> str:
    """Return text with its spaces, tabs and line ends shown."""
    return text.translate({32: "␣", 10: "⏎", 13: "⏎", 9: "⇥"})
