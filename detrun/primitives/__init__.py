"""Primitives for programs: `Atomic`, `Shared`, `Buffer`, keyed draws, `sleep`."""
