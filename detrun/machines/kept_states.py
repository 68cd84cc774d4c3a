"""`KeptStates`: the states that a machine keeps while events are dispatched, whose number is not known beforehand.

States that a gradient can start from hold `Value`s with ids, so the machine numbers its Values itself, outside any run,
from the first event to the last: ids go on where the dispatch before left off. The states to keep are
decided by `detrun.ad.revolve.OnlineReversal`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from detrun.ad import state, trees
from detrun.ad.revolve import Action, Free, OnlineReversal, Reverse
from detrun.ad.sums import SumsOfValues
from detrun.machines.store import StateStore


class KeptStates:
    """The states that a machine keeps, and the ids of its Values, which go on from dispatch to dispatch."""

    def __init__(self, snapshots: int, window: int, store: StateStore) -> None:
        self.window = window
        self.initial: Any = None
        self.params: Any = None
        self._online = OnlineReversal(snapshots)
        self._store = store
        self.first_id = self.next_id = state.reserve_space()

    def numbering(self) -> Numbering:
        """A block in which Values get this machine's ids."""
        return Numbering(self)

    def leaves_window(self, applied: int) -> bool:
        """Whether the next event is the first of a window."""
        return applied == self._online.windows * self.window

    def leave(self, present: Any) -> None:
        """The first window, or the next, begins with this state."""
        for action in self._online.leave():
            if isinstance(action, Free):
                self._store.free(action.slot)
            else:
                self._store.put(action.slot, present, self.next_id)

    def nearest(self, number: int, initial: Any) -> tuple[int, Any]:
        """The latest kept state that is not after ``number`` events, plain; the initial one if there is none."""
        for window, slot in reversed(self._online.kept):
            if window * self.window <= number:
                return window * self.window, trees.plain(self._store.get(slot)[0])
        return 0, initial

    def actions(self, work: StateStore) -> Iterator[Action]:
        """The actions that reverse everything dispatched, on a store of their own: the kept states stay as they are."""
        if not self._online.windows:
            yield Reverse(0)
        for _, slot in self._online.kept:
            work.put(slot, *self._store.get(slot))
        yield from self._online.actions()


class Numbering:
    """Swaps the source of ids, and back. Not a generator: it is entered for every event."""

    __slots__ = ("_before", "_owner", "_sums")

    def __init__(self, owner: KeptStates) -> None:
        self._owner = owner
        self._before = state.ids
        self._sums = SumsOfValues()

    def __enter__(self) -> None:
        state.ids = count(self._owner.next_id)
        self._sums.__enter__()

    def __exit__(self, *_: object) -> None:
        self._sums.__exit__(None, None, None)
        self._owner.next_id = next(state.ids)
        state.ids = self._before
