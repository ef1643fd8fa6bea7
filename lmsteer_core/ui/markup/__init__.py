"""HTML of what several tabs show."""
