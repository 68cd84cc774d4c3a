"""What a gradient means: one file per estimator, one result type for all."""
