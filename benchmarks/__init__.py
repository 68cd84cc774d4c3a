"""Ratios against peers, measured in one process or run. ``python -m benchmarks`` prints every table."""
