"""Faults: plans of them, their actions and outcomes, swarms, `buggify`, and the liveness phase."""
