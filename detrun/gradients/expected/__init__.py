"""The derivative of the mean over randomness and schedules, with the jumps at draws and at thresholds."""
