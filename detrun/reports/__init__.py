"""A run, or why one failed, as one HTML file that needs no network."""
