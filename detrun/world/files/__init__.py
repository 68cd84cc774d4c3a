"""Blocking files of a node: `open`, `os` and what stands on them, on the node's simulated disk."""
