"""A node's disk: paths and files over a model of what survives a power loss."""
