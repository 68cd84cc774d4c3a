"""Faults: plans, what each does, swarms of them, `buggify`, and the liveness phase."""
