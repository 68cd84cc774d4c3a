"""`ActiveFault`: a fault that has begun, with its end and its count; and the settings that come back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any


class ActiveFault:
    """A fault that has begun.

    Args:
        count: how often such a fault has struck in the whole run; what it showed when this was made is not counted.
        lasts: seconds until it ends; None: until the plan does.
        is_over: it happened at once, and there is nothing to end.
    """

    def __init__(
        self,
        count: Callable[[], int],
        *,
        before: int | None = None,
        lasts: float | None = None,
        victim: str = "",
        is_over: bool = False,
        undo: Callable[[], None] | None = None,
        start: Callable[[], None] | None = None,
    ) -> None:
        self._count = count
        self._before = count() if before is None else before
        self._undo = undo
        self._start = start
        self.lasts = lasts
        self.victim = victim
        self.is_over = is_over

    def changes(self) -> int:
        """How often it has changed something."""
        return self._count() - self._before

    def end(self, *, starting_nodes: bool = True) -> None:
        """It is over."""
        if self._undo is not None:
            self._undo()
        if self._start is not None and starting_nodes:
            self._start()


class Overlays:
    """Settings that several faults change for a time: the latest of the active ones holds.

    Invariant: a setting has a stack only while a fault changes it; the bottom is what was set before.
    """

    def __init__(self) -> None:
        self._stacks: dict[Hashable, list[tuple[str, Any]]] = {}  # setting -> (fault or "", value), the original first

    def put(
        self, setting: Hashable, owner: str, value: Any, read: Callable[[], Any], write: Callable[[Any], None]
    ) -> None:
        """``owner`` sets it."""
        stack = self._stacks.setdefault(setting, [])
        if not stack:
            stack.append(("", read()))
        stack.append((owner, value))
        write(value)

    def take_off(self, setting: Hashable, owner: str, write: Callable[[Any], None]) -> None:
        """``owner`` sets it no longer."""
        stack = self._stacks[setting]
        stack[:] = [one for one in stack if one[0] != owner]
        write(stack[-1][1])
        if len(stack) == 1:
            del self._stacks[setting]
