"""One controlled execution of a program: its options, the choices that decide it, and its end."""
