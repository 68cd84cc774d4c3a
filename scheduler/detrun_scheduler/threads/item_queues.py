"""`queue.Queue` and its kinds tell the active run which items are put and taken (`message_order`).

They tell of an item where it enters and leaves, under the queue's own lock, so the records have the queue's order. The
methods are replaced for the life of the process. A kind of the program's own that stores items in its own way is known
by its locks only.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from functools import wraps
from typing import Any

from detrun_scheduler.message_order import order_of, told
from detrun_scheduler.run import ActiveRun


def install() -> None:
    """Replace the methods, once."""
    kind: Any
    for kind in (queue.Queue, queue.LifoQueue, queue.PriorityQueue):
        kind._put, kind._get = _putting(kind._put), _taking(kind._get)


def _putting(original: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    @wraps(original)
    def put(self: Any, item: Any) -> None:
        run = _told(self)
        if run is None:
            original(self, item)
            return
        order = order_of(self, run, self._qsize(), _is_plain)
        original(self, item)
        order.put(run, item)

    return put


def _taking(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @wraps(original)
    def take(self: Any) -> Any:
        run = _told(self)
        if run is None:
            return original(self)
        order = order_of(self, run, self._qsize(), _is_plain)
        item = original(self)
        order.got(run, item)
        return item

    return take


def _is_plain(self: Any) -> bool:
    return not isinstance(self, queue.LifoQueue | queue.PriorityQueue)


def _told(self: Any) -> ActiveRun | None:
    """The run that is told of the queue; None if the queue's lock is outside the schedule (`library_locks`)."""
    return told() if getattr(self.mutex, "points", True) else None
