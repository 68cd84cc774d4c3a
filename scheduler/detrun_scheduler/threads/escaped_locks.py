"""Real locks that simulated threads meet: made before detrun was imported, by C code, or under a name that escaped.

While a real lock blocks, threads cannot be switched. And a real `RLock` takes all simulated threads for one thread and
lets them all in. So during a run the methods of the two lock types themselves are replaced (`c_types`).

A lock that is free is taken as in life, and that is not written down: whose lock it is and when it was made is not part
of the program. Once a thread of the run holds a lock that another one wants, it is a simulated lock for the rest of the
run. It has schedule points, waits in virtual time, and stands in deadlock reports under the global name that holds it.

A lock that is held, but by no code of the run, blocks for real: a real thread holds it, or it was taken before the run.
Detrun's own locks go past these methods by the old names of the real ones (``acquire_lock``, ``release_lock``).
"""

from __future__ import annotations

import gc
import sys
import threading
from _thread import LockType as _RealLock
from _thread import RLock as _RealRLock
from _thread import allocate_lock as _allocate_lock
from collections.abc import Callable, Mapping
from types import BuiltinMethodType, FunctionType
from typing import Any

from detrun_scheduler import current
from detrun_scheduler.environment.c_types import ReplacedEntries
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.threads.calling import threads_of_call
from detrun_scheduler.threads.locks import Lock
from detrun_scheduler.threads.reentrant_locks import RLOCK_WAIT, RLock
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT
from detrun_scheduler.threads.thread_of_code import thread_of_code


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

    @property
    def is_held_outside(self) -> bool:
        """Whether a real thread has it, or who took it before the run."""
        return self._owner < 0 and self._real.locked()

    def belongs_to(self, run: ActiveRun) -> None:
        """Code of the run has taken what was held outside before."""
        self._owner = run.current

    def hold_real(self) -> None:
        """The simulated lock has been taken; that is the real one."""

    def is_released_by(self) -> bool:
        """Whether the caller's release makes it free."""
        return True

    def free(self) -> None:
        """Release it, and with it the real one."""
        self.release()

    def free_real(self) -> None:
        """The run is over: code of it holds the real one no longer."""
        if self._owner >= 0 and self._real.locked():
            self._real.release_lock()

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
        thread = thread_of_code()
        self._owner, self._count = (MAIN_IDENT if thread is None else thread.ident), 1

    is_held_outside = False  # the entry goes when the run's code gives the real one back

    @property
    def points(self) -> bool:
        """Whether two threads have met here."""
        return isinstance(self._block, EscapedLock) and self._block.points

    def hold_real(self) -> None:
        """The simulated lock has been taken; the real one keeps real threads out as long as code of the run is in."""
        if self._count == 1:
            _RLOCKS.raw_acquire(self._real)

    def is_released_by(self) -> bool:
        """Whether the caller's release makes it free."""
        return self._count == 1 and self._is_owned()

    def free(self) -> None:
        """Release it, however often it was taken, and with it the real one."""
        _RLOCKS.raw_release(self._real)
        self._count = 1
        self.release()

    def free_real(self) -> None:
        """The run is over: code of it holds the real one no longer."""
        if self._count:
            _RLOCKS.raw_release(self._real)


def _run_of_call() -> ActiveRun | None:
    if current.run is None:
        return None
    threads = threads_of_call()
    return None if threads is None else threads.run


class _RealLocks:
    """The real locks of one type that code of the run has taken, and the rule for them, as methods of the type.

    Args:
        kind: what a real lock is in the run.
        others: more methods to replace.
    """

    def __init__(self, real: type[Any], kind: Callable[[Any, ActiveRun], Any], others: Mapping[str, Any]) -> None:
        self.kind = kind
        # By address, which never decides anything; each entry keeps its lock alive. Empty outside of runs.
        self.taken: dict[int, Any] = {}
        self.entries = ReplacedEntries(real, {**self._methods(), **others})
        self.raw_acquire, self.raw_release = self.entries.originals["acquire"], self.entries.originals["release"]

    def _methods(self) -> dict[str, Any]:
        taken = self.taken

        def acquire(lock: Any, blocking: bool = True, timeout: float = -1) -> bool:
            run = _run_of_call()
            if run is None:
                return bool(self.raw_acquire(lock, blocking, timeout))
            dual = taken.get(id(lock))
            if dual is None or dual.is_held_outside:
                # Free, or held from outside.
                if not self.raw_acquire(lock, blocking, timeout):
                    return False
                if dual is None:
                    taken[id(lock)] = self.kind(lock, run)
                else:
                    dual.belongs_to(run)
                return True
            if not dual.acquire(blocking, timeout):
                return False
            dual.hold_real()
            return True

        def enter(lock: Any) -> bool:
            return acquire(lock)

        def release(lock: Any) -> None:
            dual = taken.get(id(lock)) if taken else None
            if dual is None or _run_of_call() is None:
                self.raw_release(lock)
            elif dual.is_released_by():
                if dual.points:
                    dual.free()
                else:
                    del taken[id(lock)]
                    self.raw_release(lock)
            else:
                dual.release()

        def leave(lock: Any, kind: Any = None, error: Any = None, trace: Any = None) -> None:
            release(lock)

        return {"acquire": acquire, "__enter__": enter, "release": release, "__exit__": leave}

    def free_taken(self) -> None:
        """What the run still holds is free again."""
        for dual in self.taken.values():
            dual.free_real()
        self.taken.clear()


def _release_save(self: Any) -> Any:
    dual = _RLOCKS.taken.get(id(self)) if _RLOCKS.taken else None
    if dual is None or _run_of_call() is None:
        return _RLOCKS.entries.originals["_release_save"](self)
    if not dual._is_owned():
        raise RuntimeError("cannot release un-acquired lock")
    saved, dual._count = dual._count, 1
    self.release()  # which is replaced
    return saved


def _acquire_restore(self: Any, saved: Any) -> None:
    if _run_of_call() is None:
        _RLOCKS.entries.originals["_acquire_restore"](self, saved)
    else:
        self.acquire()  # which is replaced
        _RLOCKS.taken[id(self)]._count = saved


def _is_owned(self: Any) -> bool:
    dual = _RLOCKS.taken.get(id(self)) if _RLOCKS.taken else None
    if dual is None or _run_of_call() is None:
        return bool(_RLOCKS.entries.originals["_is_owned"](self))
    return bool(dual._is_owned())


_LOCKS = _RealLocks(_RealLock, EscapedLock, {})
_RLOCKS = _RealLocks(
    _RealRLock,
    EscapedRLock,
    {"_release_save": _release_save, "_acquire_restore": _acquire_restore, "_is_owned": _is_owned},
)
IS_SUPPORTED = _LOCKS.entries.is_supported and _RLOCKS.entries.is_supported


class _EscapedLocks:
    """The methods of both types, as one group; see `ReplacedTogether`."""

    def __init__(self) -> None:
        self._has_renewed = False

    @property
    def stays(self) -> bool:
        """Whether they have been left in place until the campaign is over."""
        return _LOCKS.entries.stays and _RLOCKS.entries.stays

    def install(self) -> None:
        """Replace them."""
        _LOCKS.entries.install()
        _RLOCKS.entries.install()
        if not self._has_renewed:
            self._has_renewed = True
            _renew_conditions()

    def restore(self) -> None:
        """Put them back."""
        _RLOCKS.entries.restore()
        _LOCKS.entries.restore()


GROUP = _EscapedLocks()


def end_of_run() -> None:
    """What the run still holds is free again."""
    if _RLOCKS.taken:
        _RLOCKS.free_taken()
    if _LOCKS.taken:
        _LOCKS.free_taken()


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
        lock = condition._lock  # type: ignore[attr-defined]  # private
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
