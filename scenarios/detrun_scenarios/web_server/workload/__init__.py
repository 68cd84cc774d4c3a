"""Who sends requests: an open stream with a flash crowd, and users who think between two requests."""
