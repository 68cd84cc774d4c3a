"""Gradients as means over independent seeds: the samples, where they are taken, how many, and what they say."""
