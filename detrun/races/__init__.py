"""Data races: happens-before tracking, and the accesses that it leaves unordered."""
