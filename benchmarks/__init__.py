"""Side-by-side measurements; each file is a script with a public command."""
