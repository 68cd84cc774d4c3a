"""Pipes, processes of programs beside a node's own, and signals between them."""
