"""Batches for a worker, made ahead of time by a thread."""
