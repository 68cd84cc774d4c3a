"""Nodes, their processes, and the threads of those."""
