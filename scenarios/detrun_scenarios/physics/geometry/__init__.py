"""Vectors, shapes, and where shapes meet."""
