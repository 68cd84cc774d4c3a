"""Real locks that simulated threads meet: made before detrun was imported, by C code, or under a name that escaped.

Nothing can switch threads while a real lock blocks, and a real `RLock` takes all simulated threads for one thread and
lets them all in. So during a run the methods of the two types themselves are replaced (`c_types`). In code of the run
a lock that is free is taken as ever, and nothing is written down: whose lock it is and when it was made is no part of
the program. Where a thread of the run holds it and another wants it, it is a simulated lock from then on, with schedule
points, waits in virtual time and a place in deadlock reports, where it is named after the global name that holds it.

A lock that no code of the run holds is held by a real thread, or since before the run: it blocks for real. Detrun's own
locks go past these methods by the old names of the real ones (``acquire_lock``, ``release_lock``).
"""

from __future__ import annotations

import gc
import sys
import threading
from _thread import LockType as _RealLock
from _thread import RLock as _RealRLock
from _thread import allocate_lock as _allocate_lock
from types import BuiltinMethodType, FunctionType
from typing import Any

from greenlet import getcurrent

from detrun_scheduler import current
from detrun_scheduler.environment.c_types import ReplacedEntries
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.threads.calling import threads_of_call
from detrun_scheduler.threads.locks import Lock
from detrun_scheduler.threads.reentrant_locks import RLOCK_WAIT, RLock
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT, SimulatedThread

# By address, which never decides anything; each entry keeps its lock alive. Empty outside of runs.
_blocks: dict[int, EscapedLock] = {}
_rlocks: dict[int, EscapedRLock] = {}


class EscapedLock(Lock):
    """A real lock in a run, from the moment when code of the run took it."""

    __slots__ = ("points",)

    def __init__(self, real: Any, run: ActiveRun) -> None:
        super().__init__()
        self.points = False  # until two threads have met here
        self._real = real
        self._owner = run.current

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As `Lock.acquire`; where another thread of the run holds it, it is simulated from now on."""
        if not self.points and self._real.locked():
            self.points = True
        return super().acquire(blocking, timeout)

    def _enter(self, run: ActiveRun) -> None:
        owner = self._owner  # took it before there was anything to write down
        super()._enter(run)
        self._owner = owner

    def _note(self, run: ActiveRun, operation: int) -> int:
        return super()._note(run, operation) if self.points else run.current

    def blocking_report(self) -> tuple[str, tuple[int, ...]]:
        """As of `Lock`, with the place where the real lock is to be found."""
        words, needed = super().blocking_report()
        name = _place_of(self._real)
        return (f"{name}, a real lock: {words}" if name else f"a real lock: {words}"), needed


class _EscapedBlock(EscapedLock):
    """What a real `RLock` is on top of in a run."""

    __slots__ = ("real_rlock",)

    kind = "RLock"
    wait_kind = RLOCK_WAIT

    def __init__(self, real: Any, run: ActiveRun) -> None:
        super().__init__(_allocate_lock(), run)
        self._real.acquire_lock()
        self.real_rlock = real

    def blocking_report(self) -> tuple[str, tuple[int, ...]]:
        """As of `EscapedLock`."""
        words, needed = Lock.blocking_report(self)
        name = _place_of(self.real_rlock)
        return (f"{name}, a real lock: {words}" if name else f"a real lock: {words}"), needed


class EscapedRLock(RLock):
    """A real `RLock` in a run. The real one is held as long as any thread of the run holds this."""

    __slots__ = ()

    def __init__(self, real: Any, run: ActiveRun) -> None:
        super().__init__()
        self._real, self._serial = real, run.serial
        self._block: Lock = _EscapedBlock(real, run)
        thread = getcurrent()
        self._owner, self._count = (thread.ident if type(thread) is SimulatedThread else MAIN_IDENT), 1


def _run_of_call() -> ActiveRun | None:
    if current.run is None:
        return None
    threads = threads_of_call()
    return None if threads is None else threads.run


def _acquire(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
    run = _run_of_call()
    if run is None:
        return bool(_raw_acquire(self, blocking, timeout))
    block = _blocks.get(id(self))
    if block is None or (block._owner < 0 and self.locked()):
        # Free, or held from outside.
        if not _raw_acquire(self, blocking, timeout):
            return False
        if block is None:
            _blocks[id(self)] = EscapedLock(self, run)
        else:
            block._owner = run.current
        return True
    return block.acquire(blocking, timeout)


def _enter(self: Any) -> bool:
    return _acquire(self)


def _release(self: Any) -> None:
    block = _blocks.get(id(self)) if _blocks else None
    if block is None or _run_of_call() is None:
        _raw_release(self)
    elif block.points:
        block.release()
    else:
        del _blocks[id(self)]
        _raw_release(self)


def _exit(self: Any, kind: Any = None, error: Any = None, trace: Any = None) -> None:
    _release(self)


def _acquire_r(self: Any, blocking: bool = True, timeout: float = -1) -> bool:
    run = _run_of_call()
    if run is None:
        return bool(_raw_acquire_r(self, blocking, timeout))
    dual = _rlocks.get(id(self))
    if dual is None:
        if not _raw_acquire_r(self, blocking, timeout):
            return False
        _rlocks[id(self)] = EscapedRLock(self, run)
        return True
    if not dual.acquire(blocking, timeout):
        return False
    if dual._count == 1:
        _raw_acquire_r(self)  # keeps real threads out, as long as code of the run is in
    return True


def _enter_r(self: Any) -> bool:
    return _acquire_r(self)


def _release_r(self: Any) -> None:
    dual = _rlocks.get(id(self)) if _rlocks else None
    if dual is None or _run_of_call() is None:
        _raw_release_r(self)
    elif dual._count != 1 or not dual._is_owned():
        dual.release()
    else:
        _release_all(self, dual)


def _release_all(self: Any, dual: EscapedRLock) -> None:
    _raw_release_r(self)
    if isinstance(dual._block, EscapedLock) and dual._block.points:
        dual._count = 1
        dual.release()
    else:
        del _rlocks[id(self)]


def _exit_r(self: Any, kind: Any = None, error: Any = None, trace: Any = None) -> None:
    _release_r(self)


def _release_save(self: Any) -> Any:
    dual = _rlocks.get(id(self)) if _rlocks else None
    if dual is None or _run_of_call() is None:
        return _RLOCK.originals["_release_save"](self)
    if not dual._is_owned():
        raise RuntimeError("cannot release un-acquired lock")
    saved = dual._count
    _release_all(self, dual)
    return saved


def _acquire_restore(self: Any, saved: Any) -> None:
    if _run_of_call() is None:
        _RLOCK.originals["_acquire_restore"](self, saved)
    else:
        _acquire_r(self)
        _rlocks[id(self)]._count = saved


def _is_owned(self: Any) -> bool:
    dual = _rlocks.get(id(self)) if _rlocks else None
    if dual is None or _run_of_call() is None:
        return bool(_RLOCK.originals["_is_owned"](self))
    return dual._is_owned()


_LOCK = ReplacedEntries(_RealLock, {"acquire": _acquire, "__enter__": _enter, "release": _release, "__exit__": _exit})
_RLOCK = ReplacedEntries(
    _RealRLock,
    {
        **{"acquire": _acquire_r, "__enter__": _enter_r, "release": _release_r, "__exit__": _exit_r},
        **{"_release_save": _release_save, "_acquire_restore": _acquire_restore, "_is_owned": _is_owned},
    },
)
IS_SUPPORTED = _LOCK.is_supported and _RLOCK.is_supported
_raw_acquire, _raw_release = _LOCK.originals["acquire"], _LOCK.originals["release"]
_raw_acquire_r, _raw_release_r = _RLOCK.originals["acquire"], _RLOCK.originals["release"]


class _EscapedLocks:
    """The methods of both types, as one group; see `ReplacedTogether`."""

    def __init__(self) -> None:
        self._has_renewed = False

    def install(self) -> None:
        """Replace them."""
        _LOCK.install()
        _RLOCK.install()
        if not self._has_renewed:
            self._has_renewed = True
            _renew_conditions()

    def restore(self) -> None:
        """Put them back; what the run still holds is free again."""
        for block in _blocks.values():
            if block._owner >= 0 and block._real.locked():
                block._real.release_lock()
        for dual in _rlocks.values():
            if dual._count:
                _raw_release_r(dual._real)
        _blocks.clear()
        _rlocks.clear()
        _RLOCK.restore()
        _LOCK.restore()


GROUP = _EscapedLocks()


def _renew_conditions() -> None:
    """Let the conditions that were made over real locks ask those by name: each keeps bound methods of its lock."""
    frozen = gc.get_freeze_count()
    if frozen:
        gc.unfreeze()  # a campaign freezes what exists, which hides it
    try:
        found = [one for one in gc.get_referrers(threading.Condition) if type(one) is threading.Condition]
    finally:
        if frozen:
            gc.freeze()
    for condition in found:
        lock = condition._lock  # type: ignore[attr-defined]
        if type(lock) is _RealLock or type(lock) is _RealRLock:
            for name, method in list(vars(condition).items()):
                if type(method) is BuiltinMethodType and method.__self__ is lock:
                    vars(condition)[name] = getattr(lock, name)


def _place_of(lock: Any) -> str:
    """``module.name`` or ``module.Class.name`` where a loaded module holds ``lock``, or ``""``."""
    for name, module in list(sys.modules.items()):
        for key, value in list(getattr(module, "__dict__", {}).items()):
            if value is lock:
                return f"{name}.{key}"
            if type(value) in (int, str, FunctionType):
                continue
            try:
                held = object.__getattribute__(value, "__dict__") if not issubclass(type(value), type) else vars(value)
            except AttributeError:
                continue
            for inner, one in list(held.items()):
                if one is lock:
                    return f"{name}.{key}.{inner}"
                # A descriptor of a class: `functools.cached_property` of Python 3.11 has a lock.
                if getattr(type(one), "__name__", "") == "cached_property" and getattr(one, "lock", None) is lock:
                    return f"{name}.{key}.{inner}.lock"
    return ""
