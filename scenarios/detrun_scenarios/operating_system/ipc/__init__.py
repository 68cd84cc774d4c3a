"""Pipes and signals between processes."""
