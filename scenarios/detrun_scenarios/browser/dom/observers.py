"""Mutation observers: scripts that are told of changes, in a microtask, all changes since the last time at once.

Source: WHATWG, DOM standard, 4.3.3 (queue a mutation observer microtask).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from detrun_scenarios.browser.dom.document import Mutation
from detrun_scenarios.browser.dom.nodes import Element


class Observers:
    """Of one document.

    Args:
        queue_microtask: queues a microtask.
    """

    def __init__(self, queue_microtask: Callable[[Callable[[], None]], None]) -> None:
        self._queue_microtask = queue_microtask
        self._observers: list[tuple[Element, Callable[[Sequence[Mutation]], None], list[Mutation]]] = []
        self._is_queued = False

    def observe(self, target: Element, callback: Callable[[Sequence[Mutation]], None]) -> None:
        """Tell of changes at an element and below."""
        self._observers.append((target, callback, []))

    def changed(self, change: Mutation) -> None:
        """A change has been made."""
        path = change.target.ancestors()
        for target, _, records in self._observers:
            if target in path:
                records.append(change)
                if not self._is_queued:
                    self._is_queued = True
                    self._queue_microtask(self._notify)

    def _notify(self) -> None:
        self._is_queued = False
        for _, callback, records in list(self._observers):
            taken = list(records)
            records.clear()
            if taken:
                callback(taken)
