"""What to do now: a speed, a trajectory over a finite horizon, and feedback around it."""
