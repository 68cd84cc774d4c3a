"""Checks of a database that look at it from outside: histories, commitments, trees, pages, latches, and the books."""
