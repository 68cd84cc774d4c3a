"""What is visited: the site, its scripts, the user, and how much of it."""
