"""Failed schedules: shrunk, explained, listed, and kept."""
