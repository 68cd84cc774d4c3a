"""Finite differences of the mean loss under common random numbers, and how far to step."""
