"""What steers do to words and texts, computed exactly from hidden states."""
