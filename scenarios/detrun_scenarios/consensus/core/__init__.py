"""Raft as state transitions: no tasks, no files, no network, no waiting."""
