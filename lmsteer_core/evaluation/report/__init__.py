"""A summary as sentences, tables and a page."""
