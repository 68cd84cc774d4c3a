"""Matrices over Values, the Riccati equation and iterative LQR."""
