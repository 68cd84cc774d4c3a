"""Synchronous training: in each round the members of a ring add up their gradients, and all take the same step."""
