"""A node's clocks, and time with error bounds."""
