"""Pages: how they look, where they lie on the disk, and which of them are in memory."""
