"""The scheduler: decides which task steps next, and what time it is."""
