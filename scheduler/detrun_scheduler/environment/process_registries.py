"""What the standard library keeps of a run beyond its end: handlers of `logging`, and finalizers of `multiprocessing`.

A handler that is made in a run has a simulated lock. If a program calls ``logging.config.dictConfig``, its next run in
the same process would close the handlers of the one before, and take their locks; so the two runs would differ. When a
run ends in which handlers came or went, loggers have the handlers and levels that they had before it. Handlers without
a lock stay: ``NullHandler``, which libraries add when they are imported first. A pool of `multiprocessing` that
a run leaves behind would be ended when the process exits, long after its threads; that is forgotten. Finalizers of
real threads are left alone: those of an executor of processes, by which its queues end, may be made while a run runs.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

from detrun_scheduler.environment.staying import STAYING

_LOGGING: Any = logging  # type stubs leave private names out


class ProcessRegistries:
    """`install` notes what there is before a run, `end_of_run` takes out what the run has added. One per process.

    Args:
        is_simulated: whether a thread was started in a run.
    """

    def __init__(self, is_simulated: Callable[[threading.Thread], bool]) -> None:
        self._is_simulated = is_simulated
        self.stays = False  # what was noted before the first run of a campaign is still so
        self._handlers: list[Any] = []  # weak references, as `logging` keeps them
        self._names: dict[str, Any] = {}
        self._loggers: dict[Any, tuple[list[Any], int, bool, bool]] = {}

    def install(self) -> None:
        """A run begins."""
        if self.stays:
            return
        self._handlers, self._names = list(_LOGGING._handlerList), dict(_LOGGING._handlers)
        self._loggers = {
            logger: (list(logger.handlers), logger.level, logger.propagate, logger.disabled) for logger in _loggers()
        }
        if STAYING.campaigns:
            self.stays = True
            STAYING.add(self)

    def end_of_run(self) -> None:
        """The run has ended."""
        if _LOGGING._handlerList != self._handlers:  # weak references, each of which is made once
            self._restore_logging()
        module: Any = sys.modules.get("multiprocessing.util")
        registry: dict[Any, Any] = {} if module is None else module._finalizer_registry
        for key, finalizer in list(registry.items()) if registry else ():
            if any(isinstance(one, threading.Thread) and self._is_simulated(one) for one in finalizer._args or ()):
                registry.pop(key, None)

    def restore(self) -> None:
        """Forget what was noted, unless the next run of a campaign is to be compared with it, too."""
        if not self.stays:
            self.leave()

    def leave(self) -> None:
        """The campaign is over."""
        self.stays = False
        self._handlers, self._names, self._loggers = [], {}, {}

    def _restore_logging(self) -> None:
        for logger in _loggers():
            is_new = logger not in self._loggers
            if is_new and all(map(_is_without_lock, logger.handlers)):
                continue  # a library's, which stays imported
            known, level, propagate, disabled = self._loggers.get(logger, ([], logging.NOTSET, True, False))
            logger.handlers[:] = [*known, *(one for one in logger.handlers if one.lock is None and one not in known)]
            logger.level, logger.propagate, logger.disabled = level, propagate, disabled
        added = [ref for ref in _LOGGING._handlerList if ref not in self._handlers and _is_without_lock(ref())]
        _LOGGING._handlerList[:] = [*(ref for ref in self._handlers if ref() is not None), *added]
        _LOGGING._handlers.clear()
        _LOGGING._handlers.update(self._names)
        _LOGGING.root.manager._clear_cache()  # of which levels are on


def _loggers() -> list[Any]:
    named = list(_LOGGING.root.manager.loggerDict.values())
    return [_LOGGING.root, *(one for one in named if isinstance(one, logging.Logger))]


def _is_without_lock(handler: Any) -> bool:
    return handler is not None and handler.lock is None
