"""The dual classes at the end of the process: locks, locals and queues become plain wrappers of the real ones.

Finalizers run after the last ``atexit`` callback, and take locks. By then greenlet does not say any more who is
calling, and globals of modules may be gone. As no run can begin any more, the methods get code that asks neither: it
names no global and calls the real object.
"""

from __future__ import annotations

import atexit
import threading
from typing import Any

from detrun_scheduler.threads import pools
from detrun_scheduler.threads.locks import Lock
from detrun_scheduler.threads.reentrant_locks import RLock
from detrun_scheduler.threads.simple_queue import SimpleQueue
from detrun_scheduler.threads.thread_locals import local


def install() -> None:
    """Have the classes made plain when the interpreter exits."""
    atexit.register(_make_plain)


# By class and method; the arguments are those of the methods, whose defaults stay.
_PLAIN: tuple[tuple[type, str, Any], ...] = (
    *(
        (kind, name, method)
        for kind in (Lock, RLock)
        for name, method in {
            "acquire": lambda self, blocking, timeout: self._real.acquire(blocking, timeout),
            "release": lambda self: self._real.release(),
            "__exit__": lambda self, kind, error, trace: self._real.release(),
            "__repr__": lambda self: repr(self._real),
        }.items()
    ),
    (Lock, "locked", lambda self: self._real.locked()),
    (Lock, "_is_owned", lambda self: self._real.locked()),
    (RLock, "_is_owned", lambda self: self._real._is_owned()),
    (RLock, "_release_save", lambda self: self._real._release_save()),
    (RLock, "_acquire_restore", lambda self, saved: self._real._acquire_restore(saved)),
    (SimpleQueue, "put", lambda self, item, block, timeout: self._real.put(item)),
    (SimpleQueue, "get", lambda self, block, timeout: self._real.get(block, timeout)),
    (SimpleQueue, "empty", lambda self: self._real.empty()),
    (SimpleQueue, "qsize", lambda self: self._real.qsize()),
)


def _make_plain() -> None:
    for kind, name, method in _PLAIN:
        # The code and not the attribute: conditions keep bound methods of their locks.
        vars(kind)[name].__code__ = method.__code__
    for name in ("__getattribute__", "__setattr__", "__delattr__"):
        delattr(local, name)
    # What else detrun has put into classes of the standard library for good.
    condition: Any = threading.Condition
    condition.notify = getattr(condition.notify, "__wrapped__", condition.notify)
    pools.leave()
