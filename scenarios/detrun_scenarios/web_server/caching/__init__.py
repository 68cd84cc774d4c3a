"""The cache of items: time to live, bound, coalescing of fetches."""
