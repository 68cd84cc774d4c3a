"""Relaxed gradients: of the program with softened choices, or of the mean loss over perturbed parameters."""
