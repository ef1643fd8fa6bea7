"""The tab Next word."""
