"""Text sampled for many rows at once, each with its own ε."""
