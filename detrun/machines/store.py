"""Stores for kept states of a machine: in memory, on disk, or the busy ones in memory and the others on disk.

A store has numbered slots. A kept state comes with the id that the next `Value` had there: Values keep their ids, so a
window that starts from a kept state makes the very Values that it made the first time. What is put in is copied and
what is taken out is the caller's own, because a program may change a state in place. On disk a kept state is one
msgpack file (no pickle), gone when the slot is freed or the store closed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from detrun.ad import trees
from detrun.machines.codec import StateCodec

Copy = Callable[[Any], Any]


class StateStore(Protocol):
    """Slots for kept states; ``peak`` is the largest number in use at once."""

    peak: int

    def put(self, slot: int, state: Any, next_id: int) -> None: ...
    def get(self, slot: int) -> tuple[Any, int]: ...
    def free(self, slot: int) -> None: ...
    def close(self) -> None: ...


class MemoryStore:
    """Kept states as trees that share their leaves; ``copy`` makes new containers."""

    def __init__(self, copy: Copy = trees.copy) -> None:
        self.peak = 0
        self._copy = copy
        self._slots: dict[int, tuple[Any, int]] = {}

    def put(self, slot: int, state: Any, next_id: int) -> None:
        self._slots[slot] = self._copy(state), next_id
        self.peak = max(self.peak, len(self._slots))

    def get(self, slot: int) -> tuple[Any, int]:
        state, next_id = self._slots[slot]
        return self._copy(state), next_id

    def free(self, slot: int) -> None:
        del self._slots[slot]

    def close(self) -> None:
        self._slots.clear()


class DiskStore:
    """Kept states as files in ``directory``, made if need be; without one, in a temporary directory of the system."""

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self.peak = 0
        self._codec = StateCodec()
        self._used: set[int] = set()
        if directory is not None:
            os.makedirs(directory, exist_ok=True)
        # A directory of its own: two stores may be given the same place.
        self._directory = Path(tempfile.mkdtemp(prefix="detrun-snapshots-", dir=directory))

    def put(self, slot: int, state: Any, next_id: int) -> None:
        self._path(slot).write_bytes(self._codec.pack([next_id, state]))
        self._used.add(slot)
        self.peak = max(self.peak, len(self._used))

    def get(self, slot: int) -> tuple[Any, int]:
        next_id, state = self._codec.unpack(self._path(slot).read_bytes())
        return state, next_id

    def free(self, slot: int) -> None:
        self._path(slot).unlink()
        self._used.remove(slot)

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._used.clear()

    def _path(self, slot: int) -> Path:
        return self._directory / f"{slot}.msgpack"


class TwoLevelStore:
    """The lowest ``on_disk`` slots on disk, the others in memory.

    In a binomial reversal a slot is written and read the more often the higher its number (Stumm and Walther,
    "MultiStage approaches for optimal offline checkpointing", SIAM J. Sci. Comput. 31 (2009)), so what is on disk is
    touched least, and the number of windows run again is that of one store with all the slots.
    """

    def __init__(self, on_disk: int, directory: str | os.PathLike[str] | None = None, copy: Copy = trees.copy) -> None:
        self.peak = 0
        self._on_disk = on_disk
        self._used: set[int] = set()
        self._memory = MemoryStore(copy)
        self._disk = DiskStore(directory)

    def _level(self, slot: int) -> MemoryStore | DiskStore:
        return self._disk if slot < self._on_disk else self._memory

    def put(self, slot: int, state: Any, next_id: int) -> None:
        self._level(slot).put(slot, state, next_id)
        self._used.add(slot)
        self.peak = max(self.peak, len(self._used))

    def get(self, slot: int) -> tuple[Any, int]:
        return self._level(slot).get(slot)

    def free(self, slot: int) -> None:
        self._level(slot).free(slot)
        self._used.remove(slot)

    def close(self) -> None:
        self._memory.close()
        self._disk.close()


def make_store(storage: str | os.PathLike[str], copy: Copy) -> StateStore:
    """The store that ``storage`` names: ``"memory"``, ``"disk"``, or a directory."""
    if storage == "memory":
        return MemoryStore(copy)
    return DiskStore(None if storage == "disk" else storage)
