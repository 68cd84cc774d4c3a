"""Is a program a function of its seed? `check_determinism` runs it again and compares."""
