"""Gradients of recorded runs: one file an estimator, one result type for all."""
