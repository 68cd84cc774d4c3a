"""Record, replay, explore and differentiate concurrent Python programs."""
