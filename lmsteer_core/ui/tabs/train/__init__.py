"""The tab New steer."""
