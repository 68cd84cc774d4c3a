"""B+-trees: keys as bytes, splits, and descents with latches."""
