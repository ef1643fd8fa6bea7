"""The tab Steer."""
