"""The tree of a page: nodes, what changes them, who is told of it, and how events travel through it."""
