"""One controlled execution of a program: what it is given, what decides it, and how it ended."""
