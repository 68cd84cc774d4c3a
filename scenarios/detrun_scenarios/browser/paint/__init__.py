"""Painting: boxes to a display list, a display list to an image."""
