"""Files: where they lie on the disk, which of their pages are in memory, and when those are written."""
