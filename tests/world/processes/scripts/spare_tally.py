"""State of another module."""

count = 0
