"""`select.select`, `poll` and `epoll` inside a run: they wait in virtual time, and never for the outside.

What they do depends on what they watch:

- Nothing: they are a sleep. A call that only looks takes 1 µs of virtual time.
- Files on the disk of a node: always ready. ``epoll`` refuses them, as in life.
- Simulated sockets: they are waited for (`waits_for_sockets`).
- Real files: asked at once, and what is ready is returned. Of those that are not ready only a pipe is waited for, since
  both its ends may be in the run (`multiprocessing.pool.ThreadPool` tells its threads so). The caller pauses for 1 µs
  of virtual time, then for twice as long each time up to a second, and asks again. Where no other thread or task can
  ever write, and for every other kind of file, the call is refused by name.

The rule is that of `patched_threading`: a replacement decides by who calls. `selectors` stands on these.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections.abc import Callable, Iterable
from typing import Any

from greenlet import getcurrent

from detrun_scheduler.environment.file_names import is_on_a_disk
from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.threads.calling import schedule_point, threads_of_call, wait_in_task
from detrun_scheduler.threads.simulated_thread import SimulatedThread, WaitKind
from detrun_scheduler.threads.waits_for_sockets import CLOSED, FAILED, HUNG_UP, IN, OUT, WatchedSockets

_FIRST_PAUSE, _LONGEST_PAUSE = 1e-6, 1.0  # virtual seconds
_OUTSIDE = (
    "it is not ready, and waiting for the outside is not deterministic; do the I/O outside the run, or between nodes "
    "of a detrun.World"
)
_NOTHING_WRITES = "the pipe is empty and nothing else in the run can go on and write to it"
_WAIT = WaitKind("select")
_pausing = 0  # how many callers pause now, in the run of this serial
_serial = -1


def _wait(
    call: str, ask: Callable[[], Any], seconds: float | None, files: Iterable[int], sockets: WatchedSockets
) -> Any:
    """What ``ask()`` gives when there is something, or at the time-out in virtual seconds."""
    global _pausing, _serial
    threads = threads_of_call()
    assert threads is not None
    run = threads.run
    if _serial != run.serial:
        _serial, _pausing = run.serial, 0
    schedule_point()
    found = ask()
    if _is_something(found):
        return found
    if seconds == 0:
        # As in life a system call takes time: `multiprocessing.connection.wait` asks until the clock has moved.
        run.virtual_clock.advance(_FIRST_PAUSE)
        return found
    files = list(files)
    deadline = None if seconds is None else run.virtual_clock.now + seconds
    if not files:
        if sockets:
            return sockets.wait(call, ask, deadline, _is_something)
        _pause(run, deadline)
        return found
    if not all(_is_pipe(one) for one in files):
        refuse(f"{call} of a file", _OUTSIDE)
    pause = _FIRST_PAUSE
    while not _is_something(found) and (deadline is None or run.virtual_clock.now < deadline):
        if deadline is None and not run.host.queue.numbers and len(run.timers.live) <= _pausing:
            refuse(f"{call} of a pipe", _NOTHING_WRITES)
        until = run.virtual_clock.now + pause
        _pausing += 1
        try:
            _pause(run, until if deadline is None else min(until, deadline))
        finally:
            _pausing -= 1
        pause = min(2 * pause, _LONGEST_PAUSE)
        found = ask()
    return found


def _pause(run: ActiveRun, until: Any) -> None:
    thread = getcurrent()
    if type(thread) is SimulatedThread:
        thread.wait(_WAIT, None, until)
    else:
        wait_in_task(run, lambda: False, None, until)


def _is_something(found: Any) -> bool:
    return any(found)  # three lists, or a list of pairs


def _is_pipe(file: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(file).st_mode)
    except OSError:
        return False


def _number_of(file: Any) -> int:
    if isinstance(file, int):
        return file
    if not hasattr(file, "fileno"):
        raise TypeError("argument must be an int, or have a fileno() method.")
    number: int = file.fileno()
    return number


# What `select` calls readable, writable and exceptional: urgent data, which is not simulated.
_OF_SELECT = (IN | HUNG_UP | FAILED, OUT | FAILED, 0)


def _select(reading: Any, writing: Any, failing: Any, timeout: float | None = None, /) -> Any:
    original = NAMES.originals["select"]
    threads = threads_of_call()
    if threads is None:
        return original(reading, writing, failing, timeout)
    watched = [list(one) for one in (reading, writing, failing)]
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    simulated, sockets = threads.run.host.sockets, WatchedSockets(threads.run)
    for event, files in zip((IN, OUT, 0), watched, strict=True):
        for number in filter(simulated.__contains__, map(_number_of, files)):
            sockets.events[number] = sockets.events.get(number, 0) | event
    real = [[file for file in files if _number_of(file) not in simulated] for files in watched]
    on_disk = {number for files in real for number in map(_number_of, files) if is_on_a_disk(number)}
    if on_disk:
        real = [[file for file in files if _number_of(file) not in on_disk] for files in real]

    def ask() -> Any:
        found = original(*real, 0)
        if not sockets and not on_disk:
            return found
        ready = dict(sockets.ready()) | dict.fromkeys(on_disk, IN | OUT)
        return tuple(
            [file for file in files if file in one or ready.get(_number_of(file), 0) & events]
            for events, files, one in zip(_OF_SELECT, watched, found, strict=True)
        )

    return _wait("select.select", ask, timeout, {_number_of(file) for files in real for file in files}, sockets)


class _Watching:
    """What `Poll` and `Epoll` have in common: a real object, and the files and simulated sockets that it watches."""

    call = ""
    _closed_event = 0  # what tells of a simulated socket that has been closed

    def __init__(self, real: Any, run: ActiveRun) -> None:
        self._real = real
        self._files: set[int] = set()
        self._simulated = run.host.sockets
        self._sockets = WatchedSockets(run, self._closed_event)
        self._on_disk: dict[int, int] = {}  # files that are always ready, and the events that are asked for

    def _watch_on_disk(self, number: int, events: int) -> None:
        self._on_disk[number] = events & (IN | OUT)

    def register(self, fd: Any, eventmask: int = IN | OUT | select.POLLPRI) -> None:
        """As the real one."""
        number = _number_of(fd)
        if number in self._simulated:
            self._sockets.watch(number, eventmask)
            return
        if is_on_a_disk(number):
            self._watch_on_disk(number, eventmask)
            return
        self._real.register(fd, eventmask)
        self._files.add(number)

    def modify(self, fd: Any, eventmask: int) -> None:
        """As the real one."""
        number = _number_of(fd)
        if number in self._sockets.events:
            self._sockets.watch(number, eventmask)
            return
        if number in self._on_disk:
            self._watch_on_disk(number, eventmask)
            return
        self._real.modify(fd, eventmask)

    def unregister(self, fd: Any) -> None:
        """As the real one."""
        number = _number_of(fd)
        if self._on_disk.pop(number, None) is None and not self._sockets.forget(number):
            self._real.unregister(fd)
            self._files.discard(number)

    def _asked(self, seconds: float | None, *most: int) -> Any:
        sockets = self._sockets
        if seconds == 0 and not self._files and not sockets and not self._on_disk:
            return []  # it can tell nothing: libraries ask so once in a process, whether `poll` works

        def ask() -> Any:
            found = self._real.poll(0, *most)
            if not sockets and not self._on_disk:
                return found
            both = [*found, *self._ready_on_disk(), *sockets.ready()]
            return both[: most[0]] if most and most[0] > 0 else both

        found = _wait(self.call, ask, seconds, self._files, sockets)
        if sockets:
            sockets.said(found)
        return found

    def _ready_on_disk(self) -> list[tuple[int, int]]:
        found = ((one, events if is_on_a_disk(one) else select.POLLNVAL) for one, events in self._on_disk.items())
        return [(number, events) for number, events in found if events]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class Poll(_Watching):
    """`select.poll`'s object."""

    call = "select.poll"
    _closed_event = CLOSED
    _is_polling = False

    def poll(self, timeout: float | None = None, /) -> Any:
        """As the real one; ``timeout`` in virtual milliseconds.

        Raises:
            OverflowError: it does not fit into an ``int`` of C.
            RuntimeError: another thread waits in this object.
        """
        if threads_of_call() is None:
            return self._real.poll(timeout)
        if timeout is not None and not -(2**31) <= timeout < 2**31:
            raise OverflowError("timeout is too large")
        if self._is_polling:
            raise RuntimeError("concurrent poll() invocation")
        self._is_polling = True
        try:
            return self._asked(None if timeout is None or timeout < 0 else timeout / 1000)
        finally:
            self._is_polling = False


class Epoll(_Watching):
    """`select.epoll`'s object."""

    call = "select.epoll"

    def _watch_on_disk(self, number: int, events: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def register(self, fd: Any, eventmask: int = IN | OUT | select.POLLPRI) -> None:
        """As the real one.

        Raises:
            ValueError: this object is closed.
            OSError: EEXIST, it is registered.
        """
        self._real.fileno()
        number = _number_of(fd)
        if number in self._sockets.events and number in self._simulated:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        super().register(fd, eventmask)

    def modify(self, fd: Any, eventmask: int) -> None:
        """As the real one; errors as `unregister`'s."""
        self._check(fd)
        super().modify(fd, eventmask)

    def unregister(self, fd: Any) -> None:
        """As the real one.

        Raises:
            ValueError: this object is closed.
            OSError: EBADF, what was registered has been closed.
        """
        self._check(fd)
        super().unregister(fd)

    def _check(self, fd: Any) -> None:
        self._real.fileno()
        number = _number_of(fd)
        if number in self._sockets.events and number not in self._simulated:
            self._sockets.forget(number)
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> Any:
        """As the real one; ``timeout`` in virtual seconds."""
        if threads_of_call() is None:
            return self._real.poll(timeout, maxevents)
        return self._asked(None if timeout is None or timeout < 0 else timeout, maxevents)

    def __enter__(self) -> Epoll:
        self._real.__enter__()
        return self

    def __exit__(self, *error: Any) -> Any:
        return self._real.__exit__(*error)


def _poll() -> Any:
    real = NAMES.originals["poll"]()
    threads = threads_of_call()
    return real if threads is None else Poll(real, threads.run)


def _epoll(*arguments: Any, **named: Any) -> Any:
    real = NAMES.originals["epoll"](*arguments, **named)
    threads = threads_of_call()
    return real if threads is None else Epoll(real, threads.run)


NAMES = ReplacedNames(select, {"select": _select, "poll": _poll, "epoll": _epoll}, may_stay=True)
