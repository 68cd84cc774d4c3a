"""Data races: what orders the steps of a run, and which accesses nothing orders."""
