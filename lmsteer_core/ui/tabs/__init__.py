"""The tabs, one package each."""
