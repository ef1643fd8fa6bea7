"""Steers: the equation, factors, card, fingerprint, the hook that applies them, their folders."""
