"""asyncio's debug mode tells of a step or callback that blocks its event loop for long: here in virtual time.

Computing takes no time in a run. So what is told of blocks by ``time.sleep``, by a lock, or by a call that waits.
asyncio measures each handle in its loop; here the handles that a loop makes in debug mode measure themselves.
"""

from __future__ import annotations

from asyncio import events
from asyncio.log import logger
from typing import Any

from detrun_scheduler.asyncio_host.private import leave_out_frame, task_of_step
from detrun_scheduler.asyncio_host.tasks import Timer
from detrun_scheduler.clock import primal_of


class _Timed:
    """A handle that says when it has run for long."""

    __slots__ = ()
    _loop: Any
    _callback: Any

    def _run(self) -> None:
        loop = self._loop
        begin, task = loop.time(), task_of_step(self._callback)
        super()._run()  # type: ignore[misc]  # of the handle that it is mixed into
        seconds = float(primal_of(loop.time() - begin))
        if seconds >= loop.slow_callback_duration:
            logger.warning("Executing %r took %.3f seconds", self if task is None else task, seconds)
        self = task = None  # type: ignore[assignment]  # an exception of the task knows this frame: a cycle of garbage


class TimedHandle(_Timed, events.Handle):
    """A callback, or a step of a task."""

    __slots__ = ()


class TimedTimer(_Timed, Timer):
    """A callback that waits for its time."""

    __slots__ = ()
    __hash__ = Timer.__hash__
    __eq__ = Timer.__eq__


# In logs and messages, as in life.
TimedHandle.__name__, TimedTimer.__name__ = events.Handle.__name__, Timer.__name__


def timed(handle: Any) -> None:
    """Let a handle that a loop has just made in debug mode look at its time, and leave the loop out of its trace."""
    handle.__class__ = TimedTimer if isinstance(handle, Timer) else TimedHandle
    leave_out_frame(handle)
