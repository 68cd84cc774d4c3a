"""Asynchronous training: workers push gradients to a server that holds the weights, and get newer weights back."""
