"""A steer carried to another model."""
