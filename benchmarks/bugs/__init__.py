"""Programs with known concurrency bugs, and how many schedules each strategy needs to find them."""
