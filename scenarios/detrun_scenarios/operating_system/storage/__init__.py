"""Files on a disk with one head, and the cache before it."""
