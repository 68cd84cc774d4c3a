"""State of a module."""

count = 0
