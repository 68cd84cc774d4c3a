"""Checks on what a program did: assertions over a campaign, linearizability, serializability."""
