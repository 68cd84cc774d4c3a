"""Reports of runs that cannot go on: the blocked tasks, what each waits for, and lost wake-ups."""
