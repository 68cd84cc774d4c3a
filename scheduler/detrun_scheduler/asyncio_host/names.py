"""The names of asyncio that stand for something else during a run: how event loops are made.

A run has an event loop policy of its own. So ``asyncio.run``, ``asyncio.new_event_loop`` and ``asyncio.Runner`` make
simulated loops, whatever policy the process has, and a policy or loop that is set in a run does not outlive it. The
names of asyncio's loop classes and policies stand for simulated ones, too, and so do those of tasks and futures
(`classes.py`). uvloop's loop factory is passed over, in a policy as in a runner.

A loop of another class may be made. It is refused where it would begin to run: its selector waits in real time, and its
tasks would not be the run's.

The rule of `ReplacedNames` holds: a replacement decides by who calls, and in another OS thread it is the original.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from typing import Any

from detrun_scheduler.asyncio_host import never_awaited, queues, tasks, waits
from detrun_scheduler.asyncio_host.classes import OF_ASYNCIO, OF_FUTURES, OF_TASKS, number_derived, standing_for
from detrun_scheduler.asyncio_host.event_loop import SimulatedEventLoop
from detrun_scheduler.asyncio_host.private import (
    ABSTRACT_POLICY,
    BASE_LOOP,
    CHECK_RUNNING,
    DEFAULT_POLICY,
    EVENTS,
    LAZY_INIT,
    LOOP_FACTORY,
    RUNNER,
    THREADED_WATCHER,
)
from detrun_scheduler.environment.names_at_import import ReplacedAtImport
from detrun_scheduler.environment.replaced_names import ReplacedMethods, ReplacedNames, ReplacedTogether
from detrun_scheduler.errors import UsageError
from detrun_scheduler.threads.calling import is_of_the_run

_FOREIGN_LOOPS = ("uvloop", "winloop", "rloop")
_ORIGINAL_LOOP: Any = asyncio.SelectorEventLoop
_MAKES_UNASKED = sys.version_info < (3, 14)


class _Policy(ABSTRACT_POLICY):  # type: ignore[misc]  # Any: its name depends on the version of Python
    """The event loops of one run, by the numbers of threads, which it gives to one thread each."""

    def __init__(self) -> None:
        self._loops: dict[int, Any] = {}  # what has been set, None among it
        self._watcher: Any = None

    def get_event_loop(self) -> Any:
        """The loop of the calling thread; as asyncio's own policy, only the main thread gets one unasked.

        Python 3.12 and 3.13 warn of that, and 3.14 makes none.
        """
        loops, thread = self._loops, threading.get_ident()
        if thread not in loops and _MAKES_UNASKED and threading.current_thread() is threading.main_thread():
            if sys.version_info >= (3, 12):
                warnings.warn("There is no current event loop", DeprecationWarning, stacklevel=_outside_asyncio())
            self.set_event_loop(self.new_event_loop())
        loop = loops.get(thread)
        if loop is None:
            raise RuntimeError(f"There is no current event loop in thread {threading.current_thread().name!r}.")
        return loop

    def set_event_loop(self, loop: Any) -> None:
        """Make ``loop`` the calling thread's."""
        if loop is not None and not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f"loop must be an instance of AbstractEventLoop or None, not '{type(loop).__name__}'")
        self._loops[threading.get_ident()] = loop

    def set_loop_of(self, thread: Any, loop: Any) -> None:
        """As `set_event_loop`, for a simulated thread."""
        self._loops[thread.ident] = loop

    def new_event_loop(self) -> Any:
        """A simulated loop, unless another OS thread asks."""
        return SimulatedEventLoop() if is_of_the_run() else _ORIGINAL_LOOP()

    def get_child_watcher(self) -> Any:
        """One that waits for each child in a thread."""
        if self._watcher is None:
            self._watcher = THREADED_WATCHER()
        return self._watcher

    def set_child_watcher(self, watcher: Any) -> None:
        """Use another; asyncio's own stand on what a run simulates, or are refused by it."""
        self._watcher = watcher


def _outside_asyncio() -> int:
    """How many calls outside its caller the first code stands that is not asyncio's, as ``stacklevel`` counts."""
    level, frame = 2, sys._getframe(2)
    while frame.f_globals.get("__name__", "").partition(".")[0] == "asyncio" and frame.f_back is not None:
        level, frame = level + 1, frame.f_back
    return level


def policy_of_run() -> _Policy | None:
    """The policy that a run begins with, unless the program has set another."""
    policy = EVENTS._event_loop_policy
    return policy if type(policy) is _Policy else None


class _PolicyOfRun:
    """The process's policy, replaced for the length of a run."""

    stays = False

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


def _uvloop_run(*arguments: Any, **options: Any) -> Any:
    if is_of_the_run():
        for one in filter(asyncio.iscoroutine, arguments):
            one.close()
        raise UsageError(
            "uvloop.run inside a run, which cannot control uvloop's event loop; call asyncio.run, or use "
            "asyncio.Runner(loop_factory=uvloop.new_event_loop): their loop is simulated in runs, and uvloop's outside"
        )
    return _UVLOOP.originals["run"](*arguments, **options)


def _uvloop_new_event_loop() -> Any:
    return SimulatedEventLoop() if is_of_the_run() else _UVLOOP.originals["new_event_loop"]()


def _is_foreign(factory: Any) -> bool:
    return str(getattr(factory, "__module__", "")).partition(".")[0] in _FOREIGN_LOOPS


def _set_event_loop_policy(policy: Any) -> None:
    """As asyncio's; a policy of uvloop's, which need not derive from asyncio's own, is passed over."""
    _NAMES.originals["set_event_loop_policy"](_Policy() if _is_foreign(type(policy)) and is_of_the_run() else policy)


def _lazy_init(self: Any) -> None:
    factory = self._loop_factory
    if factory is not None and is_of_the_run():
        self._loop_factory = SimulatedEventLoop if _is_foreign(factory) else _checked(factory)
    _RUNNERS.originals[LAZY_INIT](self)


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


def _new_event_loop(self: Any) -> Any:
    """What asyncio's own policies do, of which a program kept the class, and those derived from them (uvloop's)."""
    if is_of_the_run():
        factory = getattr(self, LOOP_FACTORY)
        if factory is _ORIGINAL_LOOP or _is_foreign(factory):
            return SimulatedEventLoop()
    return _POLICIES.originals["new_event_loop"](self)


def _check_running(self: Any) -> None:
    """What every loop of asyncio's base class calls before it runs."""
    if not isinstance(self, SimulatedEventLoop) and is_of_the_run():
        kind = type(self)
        raise UsageError(
            f"an event loop of class {kind.__module__}.{kind.__qualname__} was to run inside a run, which cannot "
            "control it; make the loop by asyncio.run() or asyncio.new_event_loop(), or run it outside"
        )
    _LOOPS.originals[CHECK_RUNNING](self)


_RUNNERS = ReplacedMethods(RUNNER, {LAZY_INIT: _lazy_init})
_POLICIES = ReplacedMethods(DEFAULT_POLICY, {"new_event_loop": _new_event_loop})
_LOOPS = ReplacedMethods(BASE_LOOP, {CHECK_RUNNING: _check_running})
_REPLACED: dict[str, object] = {
    **{
        name: standing_for(getattr(asyncio, name), lambda *arguments, **options: SimulatedEventLoop())
        for name in ("SelectorEventLoop", "EventLoop")
        if name in vars(asyncio)
    },
    # The class of the policy that asyncio makes once a program has set None; underscored from Python 3.14.
    "DefaultEventLoopPolicy": _Policy,
    "_DefaultEventLoopPolicy": _Policy,
    "set_event_loop_policy": _set_event_loop_policy,
    **OF_ASYNCIO,
}
_NAMES = ReplacedNames(asyncio, _REPLACED, may_stay=True)
_OF_TASKS = ReplacedNames(asyncio.tasks, OF_TASKS, may_stay=True)
_OF_FUTURES = ReplacedNames(asyncio.futures, OF_FUTURES, may_stay=True)
# ``run`` insists on its own loop, and says what to call instead.
_UVLOOP = ReplacedAtImport("uvloop", {"run": _uvloop_run, "new_event_loop": _uvloop_new_event_loop})
_ALL = ReplacedTogether(
    *(_NAMES, _OF_TASKS, _OF_FUTURES, _RUNNERS, _POLICIES, _LOOPS, _PolicyOfRun(), _UVLOOP, never_awaited.NAMES)
)
waits.install()
tasks.install()
queues.install()


def install() -> None:
    """Replace everything, for the run that is now active."""
    if not _NAMES.stays:  # or it has been done for the whole campaign
        number_derived()
    _ALL.install()


def restore() -> None:
    """Put everything back, or what was put in its place if it may wait."""
    _ALL.restore()
