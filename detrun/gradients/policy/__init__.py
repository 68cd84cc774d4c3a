"""Policy gradients: the score function over the draws of a run and over the choices of its scheduler."""
