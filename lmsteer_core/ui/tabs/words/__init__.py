"""The tab Words."""
