"""`Signals`: what others want to tell one process; it sees to them when it returns from the kernel.

A process that waits in a call which a signal may interrupt returns from it with EINTR, after its handler. One that
computes is interrupted, handles the signal, and goes on. A signal without a handler ends the process at the same
places, and so does `KILL` always; a call that no signal interrupts, such as a page fault, is finished before.

Source: POSIX `sigaction`, without `SA_RESTART`; Linux delivers on the way back to user mode
(`exit_to_user_mode_loop`). Signals of one kind are one while they are pending.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import trio

SignalName: TypeAlias = Literal["TERM", "INT", "USR1", "PIPE", "KILL"]
Handler: TypeAlias = Callable[[], Awaitable[None]]


class KilledError(Exception):
    """A signal has ended the process."""


class Signals:
    """Of one process.

    Attributes:
        handlers: by signal; one without a handler ends the process.
        pending: those that it has not seen to, in the order in which they came.
    """

    def __init__(self) -> None:
        self.handlers: dict[SignalName, Handler] = {}
        self.pending: list[SignalName] = []
        self._waiting: trio.CancelScope | None = None

    def send(self, signal: SignalName) -> None:
        """Another process sends one."""
        if signal not in self.pending:
            self.pending.append(signal)
        if self._waiting is not None:
            self._waiting.cancel()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A wait in a call that signals interrupt.

        Raises:
            InterruptedError: EINTR, there is a signal to see to.
        """
        with trio.CancelScope() as self._waiting:
            if self.pending:
                self._waiting.cancel()
            yield
        was_interrupted, self._waiting = self._waiting.cancelled_caught, None
        if was_interrupted:
            raise InterruptedError(f"a call was interrupted by {', '.join(self.pending)}")

    async def see_to(self) -> None:
        """Run the handlers of what is pending.

        Raises:
            KilledError: there is none for one of them.
        """
        while self.pending:
            signal = self.pending.pop(0)
            handler = None if signal == "KILL" else self.handlers.get(signal)
            if handler is None:
                raise KilledError(f"{signal} has no handler")
            await handler()
