"""Language models: which there are, how they are loaded, and many texts through one of them."""
