"""External effects, and stages of a pipeline: where a function declares its derivative."""
