"""The tab Transfer."""
