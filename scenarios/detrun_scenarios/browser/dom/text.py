"""Widths of words. A font here is a table of advances, in shares of its size, close to those of Helvetica."""

from __future__ import annotations

SPACE = 0.28
CAPITAL, OTHER = 0.68, 0.53
ADVANCES = {**dict.fromkeys("iIjltf.,:;'!|()", 0.28), **dict.fromkeys("mwMW", 0.83)}


def advance(word: str) -> float:
    """The width of a word, in shares of the font's size."""
    return sum(ADVANCES.get(one, CAPITAL if one.isupper() else OTHER) for one in word)
