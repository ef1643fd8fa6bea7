"""Results in, figures out; nothing here knows a model."""
