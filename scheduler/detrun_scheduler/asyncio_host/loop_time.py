"""`LoopTime`: the clock and the timers of a simulated event loop, which are the run's.

Times and delays may be `Value`s. A loop on a node reads the clock of its machine, and its timers fire by that clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detrun_scheduler import current
from detrun_scheduler.asyncio_host.private import ends_a_sleep, leave_out_frame
from detrun_scheduler.asyncio_host.slow_callbacks import timed
from detrun_scheduler.asyncio_host.tasks import Timer


class LoopTime:
    """The methods of an event loop that have to do with time."""

    run: Any
    create_future: Any
    _debug: bool
    _check_closed: Any
    looks: bool
    is_without_checks: Callable[[str, Any], bool]

    def time(self) -> Any:
        """Virtual seconds on the clock of the calling code; a `Value` once a `Value` has moved the clock."""
        return self.run.host.current_time()

    def call_later(self, delay: Any, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        """Queue a callback in ``delay`` virtual seconds, which may be a `Value`."""
        if delay is None:
            raise TypeError("delay must not be None")
        timer = self.call_at(self.time() + delay, callback, *args, context=context)
        if self._debug:
            leave_out_frame(timer)
        return timer

    def call_at(self, when: Any, callback: Callable[..., Any], *args: Any, context: Any = None) -> Any:
        """Queue a callback at the virtual time ``when``, which may be a `Value`."""
        if when is None:
            raise TypeError("when cannot be None")
        self._check_closed()
        if self.looks:
            self.is_without_checks("call_at", callback)
        loop: Any = self
        timer = Timer(when, callback, args, loop, context)
        if self._debug:
            timed(timer)
        self._timers.add(when, timer)
        timer._scheduled = True
        return timer

    async def sleep_true(self, seconds: Any) -> None:
        """Sleep for ``seconds`` of the run's own time, whatever clock the calling code has; a `Value` if they are."""
        loop: Any = self
        run, future = self.run, self.create_future()
        deadline = run.virtual_clock.now + seconds
        timer = Timer(deadline, ends_a_sleep, (future, None), loop, None)
        run.timers.add(deadline, timer)
        try:
            await future
        finally:
            run.timers.remove(deadline, timer)

    @property
    def _timers(self) -> Any:
        return self.run.host.local_time or self.run.timers

    def _timer_handle_cancelled(self, handle: Any) -> None:
        if handle._scheduled:
            handle._scheduled = False
            if current.run is self.run:
                self._timers.remove(handle._when, handle)
