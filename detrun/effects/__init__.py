"""External effects: what a replay and a derivative do with them."""
