"""The colours of figures and saved pages; those of the app's own page stand in assets/style.css."""

POSITIVE = "#2f7fd0"
NEGATIVE = "#d9741a"
NEUTRAL = "#808a99"
MIDDLE = "#b9bec6"
BREAKS = "#d33b3b"
