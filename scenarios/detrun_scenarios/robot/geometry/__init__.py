"""Angles, the map with its obstacles, and courses along a path."""
