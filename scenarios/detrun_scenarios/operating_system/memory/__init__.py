"""Pages of processes share the frames of a machine."""
