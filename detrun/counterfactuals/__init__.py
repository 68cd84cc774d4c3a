"""Runs that might have been: a recorded run branched at its draws, and how likely its choices were."""
