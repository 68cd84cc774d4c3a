"""Which task steps next, and what time it is."""
