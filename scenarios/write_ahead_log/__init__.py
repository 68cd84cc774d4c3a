"""A key-value store with a write-ahead log, one that is right and several that are wrong, on a disk that loses power.

``python -m scenarios.write_ahead_log`` shows each of them against every crash state of a small workload.
"""
