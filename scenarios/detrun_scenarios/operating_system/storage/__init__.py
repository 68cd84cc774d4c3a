"""The disk: how long it takes, and in which order requests get to it."""
