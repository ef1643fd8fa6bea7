"""Steers: the equation, factors, card, fingerprint, the hook that applies them, and where they are kept."""
