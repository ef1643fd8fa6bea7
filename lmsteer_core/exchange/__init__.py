"""Steers in and out: official checkpoints, adapters, merged models, the hub, archives."""
