"""One simulated machine: cores that threads share, memory that is too small, a disk with one head.

Read from below: `calls` says what the parts want of each other; then `cpu`, `memory`, `storage`, `ipc`; `process` is
what a program may call, `machine` puts all together, and `workload` gives it something to do.
"""
