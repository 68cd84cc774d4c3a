"""Reports about a run that cannot go on: who waits for what, and which wake-up was lost."""
