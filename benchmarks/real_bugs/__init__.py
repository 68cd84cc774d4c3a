"""Concurrency bugs that were reported against released libraries, and whether detrun finds them."""
