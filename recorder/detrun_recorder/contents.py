"""What is known of a recording without its steps: the table of its chunks, its header and its end.

A writer knows it when it closes a file, a reader learns it by opening one. Named tuples, here and elsewhere on the way
of ``import detrun``: to make a frozen dataclass takes a millisecond, ten times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class End(NamedTuple):
    """How a run ended; the last thing that a whole recording says."""

    steps: int
    virtual_time: float
    digest: bytes  # 16 bytes, over all chunks and the program's result
    outcome: str = "ok"  # or "error"
    error_type: str | None = None
    error_text: str | None = None
    counts: Mapping[str, int] = MappingProxyType({})


class ChunkEntry(NamedTuple):
    """Where a chunk is and what it begins with."""

    position: int  # of its frame
    first_step: int
    steps: int
    start_time: float
    digest: bytes
    objects: frozenset[int] | None  # that it touches; None: not known, look inside
    says_runnable: bool = False  # it holds the runnable set before its first step


class Contents(NamedTuple):
    """All that opening a recording learns."""

    version: tuple[int, int]
    header: dict[str, Any]
    chunks: list[ChunkEntry]
    end: End | None
    whole: bool  # with index and trailer
