"""One model for many callers: the engine, endless texts, replicas."""
