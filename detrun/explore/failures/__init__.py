"""A failed schedule: shrunk, explained, listed, and kept."""
