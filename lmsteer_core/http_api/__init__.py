"""The HTTP API that OpenAI's clients speak."""
