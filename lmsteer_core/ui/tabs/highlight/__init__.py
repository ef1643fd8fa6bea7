"""The tab Highlight."""
