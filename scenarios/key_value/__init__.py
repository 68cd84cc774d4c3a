"""A replicated key-value store in ordinary trio, and the demonstration that `make demo` runs on it.

Read `store` first, with `messages` and `network` beside it, then `history`; `demo` is what detrun can do with them.
"""
