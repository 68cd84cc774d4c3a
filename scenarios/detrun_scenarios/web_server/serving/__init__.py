"""The application under unmodified hypercorn on a node: start, drain within a deadline, crash, restart."""
