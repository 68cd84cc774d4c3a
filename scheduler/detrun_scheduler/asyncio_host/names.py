"""The names of asyncio that stand for something else during a run: how event loops are made.

A run has a policy of its own, so that ``asyncio.run``, ``asyncio.new_event_loop`` and ``asyncio.Runner`` make
simulated loops, whatever policy the process has (uvloop's among them), and no loop set in a run outlives it. The
classes of asyncio's own loops stand for the simulated one, too. A loop factory that is uvloop's is passed over.

The rule of `ReplacedNames` holds: a replacement decides by who calls, and in another OS thread it is the original.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from detrun_scheduler.asyncio_host import tasks, waits
from detrun_scheduler.asyncio_host.event_loop import SimulatedEventLoop
from detrun_scheduler.asyncio_host.private import EVENTS, LAZY_INIT, RUNNER
from detrun_scheduler.environment.replaced_names import ReplacedMethods, ReplacedNames, ReplacedTogether
from detrun_scheduler.errors import UsageError
from detrun_scheduler.threads.calling import is_of_the_run

_FOREIGN_LOOPS = ("uvloop", "winloop", "rloop")


class _Policy:
    """The event loops of one run, by thread."""

    class _Loops(threading.local):
        loop: Any = None
        is_set = False

    def __init__(self) -> None:
        self._loops = self._Loops()

    def get_event_loop(self) -> Any:
        """The loop of the calling thread; as asyncio's own policy, only the main thread gets one unasked."""
        loops = self._loops
        if loops.loop is None and not loops.is_set and threading.current_thread() is threading.main_thread():
            self.set_event_loop(self.new_event_loop())
        if loops.loop is None:
            raise RuntimeError(f"There is no current event loop in thread {threading.current_thread().name!r}.")
        return loops.loop

    def set_event_loop(self, loop: Any) -> None:
        """Make ``loop`` the calling thread's."""
        if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f"loop must be an instance of AbstractEventLoop or None, not '{type(loop).__name__}'")
        self._loops.is_set, self._loops.loop = True, loop

    def new_event_loop(self) -> Any:
        """A simulated loop."""
        return SimulatedEventLoop()


class _PolicyOfRun:
    """The process's policy, replaced for the length of a run."""

    def __init__(self) -> None:
        self._before: Any = None

    def install(self) -> None:
        """Put in a new one."""
        self._before = EVENTS._event_loop_policy
        EVENTS._event_loop_policy = _Policy()

    def restore(self) -> None:
        """Put the process's own back."""
        EVENTS._event_loop_policy = self._before
        self._before = None


def _loop_class(original: Any) -> Any:
    def new(*arguments: Any, **options: Any) -> Any:
        return SimulatedEventLoop() if is_of_the_run() else original(*arguments, **options)

    return new


def _lazy_init(self: Any) -> None:
    factory = self._loop_factory
    if factory is not None and is_of_the_run():
        if str(getattr(factory, "__module__", "")).partition(".")[0] in _FOREIGN_LOOPS:
            self._loop_factory = SimulatedEventLoop
        else:
            self._loop_factory = _checked(factory)
    _METHODS.originals[LAZY_INIT](self)


def _checked(factory: Any) -> Any:
    def new_event_loop() -> Any:
        loop = factory()
        if not isinstance(loop, SimulatedEventLoop):
            raise UsageError(
                f"loop_factory={factory!r} made a {type(loop).__qualname__}, which a run cannot control; leave "
                "loop_factory out in runs, or let it call asyncio.new_event_loop()"
            )
        return loop

    return new_event_loop


_CLASSES = ("SelectorEventLoop", "EventLoop")
_METHODS = ReplacedMethods(RUNNER, {LAZY_INIT: _lazy_init})
_ALL = ReplacedTogether(
    ReplacedNames(
        asyncio,
        {name: _loop_class(getattr(asyncio, name)) for name in _CLASSES if hasattr(asyncio, name)},
        may_stay=True,
    ),
    _METHODS,
    _PolicyOfRun(),
)
waits.install()
tasks.install()


def install() -> None:
    """Replace everything, for the run that is now active."""
    _ALL.install()


def restore() -> None:
    """Put everything back, or what was put in its place if it may wait."""
    _ALL.restore()
