"""What one page has: its steers, runs, jobs and events."""
