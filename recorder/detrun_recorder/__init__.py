"""Recordings: the decisions of a run, on disk and back."""
