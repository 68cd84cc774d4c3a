"""`check_determinism`: runs a program again and compares, to see whether it is a function of its seed."""
