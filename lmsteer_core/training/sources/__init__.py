"""Sources of a steer: descriptions, examples, labelled text, and their sum."""
