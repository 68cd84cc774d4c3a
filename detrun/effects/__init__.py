"""External effects: their replays and their derivatives."""
