"""Calls of an event loop by a thread that does not run it, each noted once as a failure of the run.

``loop.call_soon`` appends to a list and wakes nothing, and so does what stands on it: ``future.set_result``,
``task.cancel``, ``Queue.put_nowait``, `create_task`. In life a loop that sleeps in its selector runs what another
thread has appended when something else wakes it: late, or never (documentation of asyncio, "Concurrency and
Multithreading"). Only debug mode tells of it. In a run such a callback can run at once, so the bug would stay hidden if
it were not looked for here.

The look begins when a run has a second thread. It shares the question that the loop asks for debug mode, so a program
without threads pays nothing. Calls by detrun itself do not count: a message of a world may wake a task of another
node's loop in any thread, as a network does.
"""

from __future__ import annotations

import sys
from os.path import basename
from types import CodeType, FrameType
from typing import Any

from detrun_scheduler.asyncio_host.private import task_of_step
from detrun_scheduler.asyncio_host.tasks import BETWEEN, AsyncioOfRun, label_of
from detrun_scheduler.asyncio_host.uncaught import name_of
from detrun_scheduler.errors import Finding
from detrun_scheduler.run import ThreadFailure
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT
from detrun_scheduler.threads.thread_of_code import thread_of_code
from detrun_scheduler.user_code import is_user_file

SINCE = 9  # of the rules for threads: recordings made before are replayed without the look


class ForeignThreadWarning(Finding):
    """A thread has queued a callback in an event loop that another thread runs, by a call that does not wake it."""


class LooksAtCallers:
    """The methods of an event loop that look at which thread calls it.

    Attributes:
        looks: calls are to be looked at: debug mode is on, or the run has threads and findings are asked for.
    """

    run: Any
    counts: AsyncioOfRun
    simulated_thread: Any
    looks: bool
    _debug: bool
    _told: set[tuple[CodeType, int]]  # where
    _check_callback: Any

    def set_debug(self, enabled: bool) -> None:
        """As asyncio's."""
        super().set_debug(enabled)  # type: ignore[misc]  # of asyncio's loop
        self.looks = self._debug or self._looks_for_threads()

    def _looks_for_threads(self) -> bool:
        run = self.run
        return bool(run.threads.idents > MAIN_IDENT and run.reports_thread_errors and run.thread_rules >= SINCE)

    def look_for_threads(self) -> None:
        """The loop begins to run, or its run to have threads."""
        if self._looks_for_threads():
            self.looks = True

    def is_without_checks(self, method: str, callback: Any) -> bool:
        """Look at a call of ``method``; whether debug mode is off.

        Raises:
            RuntimeError: by asyncio's debug mode, which refuses such a call.
            TypeError: likewise, of what cannot be called back.
        """
        caller, own = thread_of_code(), self.simulated_thread
        is_foreign = caller is not None and own is not None and caller is not own
        if self._debug:
            if is_foreign:
                raise RuntimeError("Non-thread-safe operation invoked on an event loop other than the current one")
            self._check_callback(callback, method)
            return False
        if is_foreign:
            self._note(method, callback)
        return True

    def _note(self, method: str, callback: Any) -> None:
        frame = _caller(sys._getframe(3))
        if frame is None:
            return
        run, place = self.run, (frame.f_code, frame.f_lineno)
        told = self.__dict__.setdefault("_told", set())
        if place in told:
            return
        told.add(place)
        path, owner = run.path_of(run.current), run.path_of(run.host.numbers[self.simulated_thread.task])
        file, line = frame.f_code.co_filename, frame.f_lineno
        where = f" at {basename(file)}:{line}" if is_user_file(file) else ""
        error = ForeignThreadWarning(
            f"{_what(method, callback)}{where} in {path}, for an event loop that thread {owner} runs: that does not "
            "wake the loop, so in life it comes late or never; use loop.call_soon_threadsafe, or "
            "asyncio.run_coroutine_threadsafe for a coroutine"
        )
        error.place = (file, line) if where else None
        run.thread_failures.append(ThreadFailure(path, error, False, "a call in"))


def _caller(frame: FrameType | None) -> FrameType | None:
    """The innermost frame of the user's that has led to a call, or else of a library; None: detrun's own call."""
    outermost, is_first = frame, True
    while frame is not None:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package not in BETWEEN:
            if is_first and package == "detrun":
                return None
            if is_user_file(frame.f_code.co_filename):
                return frame
            is_first = False
        outermost, frame = frame, frame.f_back
    return outermost


def _what(method: str, callback: Any) -> str:
    if callback is None:
        return f"loop.{method}()"
    task = task_of_step(callback)
    return f"loop.{method}({name_of(callback)})" if task is None else f"a step of {label_of(task.get_coro())!r} queued"
