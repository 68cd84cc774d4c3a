"""The ``time`` and ``datetime`` modules during a run: they answer from the run's virtual clock.

In the thread of the run, and there only, every clock of the ``time`` module is the virtual one: wall clocks read the
start of the run's calendar (2000-01-01T00:00:00Z unless told otherwise) plus virtual time, all others virtual time
itself, the processor clocks included, since computing takes no virtual time. ``time.sleep`` blocks virtually: it moves
the clock, and no other task runs meanwhile, as in life. Functions that return a float return the clock's arithmetic
as it is, so when a `Value` has moved the clock the timing that a program measures is differentiable; functions that
return an integer or a calendar date take the bare number out of it, which is listed as a detachment of the line that
called them.

Names that modules took before the run (``from time import monotonic``) are the matter of `bound_names`; the methods of
``datetime`` are replaced in the type (`virtual_datetime`). Local time uses the machine's time zone.
"""

from __future__ import annotations

import logging
import math
import sys
import time
from _thread import get_ident
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any, Protocol

from detrun_scheduler.clock import primal_of
from detrun_scheduler.environment.replaced_names import ReplacedNames, ReplacedTogether
from detrun_scheduler.environment.virtual_datetime import replaced_datetime
from detrun_scheduler.errors import UsageError

# 2000-01-01T00:00:00Z: far enough from the epoch that subtracting days stays positive, and plainly not today.
WALL_START_SECONDS = 946_684_800.0


class Clock(Protocol):
    """What this module needs of a clock."""

    @property
    def now(self) -> Any:
        """Seconds since the start of the run: a float, or a `Value`."""

    @property
    def wall(self) -> Any:
        """Seconds since the start of the run's calendar."""

    def advance(self, seconds: Any) -> None:
        """Move time on without letting any task run."""


_run_thread = 0  # the OS thread of the active run; no thread has ident 0
_clock: Any = None
_start = WALL_START_SECONDS


def localize(clock: Clock) -> None:
    """Let the functions of this module read another clock, for what is left of the run; nothing if none is active."""
    global _clock
    if _run_thread:
        _clock = clock


def _wall_seconds() -> float | None:
    """The run's wall clock as a plain number, or None in any other thread."""
    # ``float`` and not the primal: a `Value` notes that the calling line takes its history off.
    return _start + float(_clock.wall) if get_ident() == _run_thread else None


def _time() -> Any:
    return _start + _clock.wall if get_ident() == _run_thread else _TIME.originals["time"]()


def _time_ns() -> int:
    if get_ident() == _run_thread:
        # Each part is rounded by itself: their sum as one float is only good to 100 ns.
        return round(_start * 1e9) + round(float(_clock.wall) * 1e9)
    return _TIME.originals["time_ns"]()  # type: ignore[no-any-return]


def _reader(name: str) -> Callable[[], Any]:
    def read() -> Any:
        return _clock.now if get_ident() == _run_thread else _TIME.originals[name]()

    read.__name__ = read.__qualname__ = name
    return read


# Modules that measure only to report, in types of C that take no `Value`, and would fail where a clock is one: httpx
# puts ``response.elapsed`` into a timedelta. Such a figure carries no derivative, as little as the stamp of a log line.
_REPORTING = frozenset(["httpx._client"])


def _perf_counter() -> Any:
    if get_ident() != _run_thread:
        return _TIME.originals["perf_counter"]()
    now = _clock.now
    if type(now) is not float and sys._getframe(1).f_globals.get("__name__") in _REPORTING:
        return primal_of(now)
    return now


_perf_counter.__name__ = _perf_counter.__qualname__ = "perf_counter"


def _reader_ns(name: str) -> Callable[[], int]:
    def read() -> int:
        if get_ident() == _run_thread:
            return round(float(_clock.now) * 1e9)
        return _TIME.originals[name]()  # type: ignore[no-any-return]

    read.__name__ = read.__qualname__ = name
    return read


def _sleep(seconds: Any, /) -> None:
    if get_ident() != _run_thread:
        _TIME.originals["sleep"](seconds)
        return
    # The same errors as the real one, in the same cases.
    primal = primal_of(seconds)
    if math.isnan(primal):
        raise ValueError("Invalid value NaN (not a number)")
    if primal < 0:
        raise ValueError("sleep length must be non-negative")
    if math.isinf(primal):
        raise OverflowError("timestamp out of range: time.sleep(inf) would block this run forever")
    _clock.advance(seconds)


def _clock_gettime(clock: int, /) -> Any:
    if get_ident() != _run_thread:
        return _TIME.originals["clock_gettime"](clock)
    return _time() if clock in _WALL_CLOCKS else _clock.now


def _clock_gettime_ns(clock: int, /) -> int:
    if get_ident() != _run_thread:
        return _TIME.originals["clock_gettime_ns"](clock)  # type: ignore[no-any-return]
    return _time_ns() if clock in _WALL_CLOCKS else round(float(_clock.now) * 1e9)


_WALL_CLOCKS = {getattr(time, name) for name in ("CLOCK_REALTIME", "CLOCK_TAI") if hasattr(time, name)}


def _calendar(name: str) -> Callable[..., Any]:
    """A function whose missing or None last argument means the present, in seconds."""

    def convert(seconds: Any = None, /) -> Any:
        if seconds is None:
            seconds = _wall_seconds()
        return _TIME.originals[name](float(seconds) if hasattr(seconds, "primal") else seconds)

    convert.__name__ = convert.__qualname__ = name
    return convert


def _asctime(*parts: Any) -> str:
    if not parts and (seconds := _wall_seconds()) is not None:
        parts = (_TIME.originals["localtime"](seconds),)
    return _TIME.originals["asctime"](*parts)  # type: ignore[no-any-return]


def _strftime(layout: str, *parts: Any) -> str:
    if not parts and (seconds := _wall_seconds()) is not None:
        parts = (_TIME.originals["localtime"](seconds),)
    return _TIME.originals["strftime"](layout, *parts)  # type: ignore[no-any-return]


_CLOCKS = ("monotonic", "perf_counter", "process_time", "thread_time")

_TIME = ReplacedNames(
    time,
    {
        "time": _time,
        "time_ns": _time_ns,
        **{name: _reader(name) for name in _CLOCKS},
        "perf_counter": _perf_counter,
        **{name + "_ns": _reader_ns(name + "_ns") for name in _CLOCKS},
        "clock_gettime": _clock_gettime,
        "clock_gettime_ns": _clock_gettime_ns,
        "sleep": _sleep,
        **{name: _calendar(name) for name in ("localtime", "gmtime", "ctime")},
        "asctime": _asctime,
        "strftime": _strftime,
    },
    may_stay=True,
)
REPLACED = tuple(_TIME.originals)  # the names of the `time` module that mean something else in a run


def _primal_time() -> float:
    if get_ident() == _run_thread:
        return _start + primal_of(_clock.wall)
    return _TIME.originals["time"]()  # type: ignore[no-any-return]


def _primal_time_ns() -> int:
    if get_ident() == _run_thread:
        return round(_start * 1e9) + round(primal_of(_clock.wall) * 1e9)
    return _TIME.originals["time_ns"]()  # type: ignore[no-any-return]


class _StartOfLogging:
    """What ``relativeCreated`` of log records counts from: the start of the run; elsewhere the import of logging."""

    def __rsub__(self, created: Any) -> Any:
        start = _LOGGING.originals["_startTime"]
        if get_ident() == _run_thread:
            start = round(_start * 1e9) if isinstance(start, int) else _start  # nanoseconds from Python 3.13 on
        return created - start


# logging stamps each record with int(time.time()) and later passes the stamp to the real localtime: neither is meant
# for a Value, and a log line is not a derivative. It gets the same virtual time as plain numbers.
_LOGGING = ReplacedNames(
    logging,
    {
        "time": SimpleNamespace(**{**vars(time), "time": _primal_time, "time_ns": _primal_time_ns}),
        "_startTime": _StartOfLogging(),
    },
    may_stay=True,
)
_EVERYTHING = ReplacedTogether(_TIME, _LOGGING, *replaced_datetime(_wall_seconds))


class VirtualTime:
    """The clock of one run in place of the process's clocks: `enter`, run, `exit`. May be entered again.

    Cost of enter and exit together, on the development machine: 4 µs.
    """

    __slots__ = ("_clock", "_start")

    def __init__(self, clock: Clock, start_seconds: float = WALL_START_SECONDS) -> None:
        if not math.isfinite(start_seconds):
            raise UsageError(f"start_seconds={start_seconds!r} is not a time in seconds since 1970")
        self._clock = clock
        self._start = start_seconds

    def enter(self) -> None:
        """Replace the clocks.

        Raises:
            UsageError: if they are replaced already.
        """
        global _run_thread, _clock, _start
        if _run_thread:
            raise UsageError("a run is already active in this process; runs neither nest nor overlap between threads")
        _clock, _start = self._clock, self._start
        _EVERYTHING.install()
        _run_thread = get_ident()

    def exit(self) -> None:
        """Put the process's clocks back."""
        global _run_thread, _clock
        _run_thread = 0
        _clock = None
        _EVERYTHING.restore()

    def __enter__(self) -> VirtualTime:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.exit()


def installed(clock: Clock, start_seconds: float = WALL_START_SECONDS) -> VirtualTime:
    """``with installed(clock): ...``"""
    return VirtualTime(clock, start_seconds)
