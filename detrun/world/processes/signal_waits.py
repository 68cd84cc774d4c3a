"""Waiting for a signal without a handler: ``sigwait`` and its kin, in the code of one process.

A signal that a thread waits for goes to that thread, which takes it in place of what a handler or the default would do,
as sigwait(3) has it for signals that the program has blocked. Of several threads the first that began to wait gets it.

Source: sigwait(3), sigwaitinfo(2), sigpending(2).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import Any

from detrun.world.network.waiting import WaitingCall
from detrun.world.nodes.signals import KERNEL, Sender, SignalWait, as_signal, name_of, signals_of
from detrun_scheduler.clock import primal_of
from detrun_scheduler.threads.calling import schedule_point


class SignalWaits:
    """Calls of `signal` that wait for signals; methods have the names there."""

    process: Any

    def sigwait(self, sigset: Iterable[int], /) -> int:
        """As `signal.sigwait`."""
        found = self._wait("signal.sigwait", sigset)
        assert found is not None
        return as_signal(found[0])

    def sigwaitinfo(self, sigset: Iterable[int], /) -> Any:
        """As `signal.sigwaitinfo`."""
        return self._information(self._wait("signal.sigwaitinfo", sigset))

    def sigtimedwait(self, sigset: Iterable[int], timeout: Any, /) -> Any:
        """As `signal.sigtimedwait`, in virtual seconds; None when the time is up.

        Raises:
            ValueError: the time is negative.
        """
        if primal_of(timeout) < 0:
            raise ValueError("timeout must be non-negative")
        return self._information(self._wait("signal.sigtimedwait", sigset, timeout))

    def sigpending(self) -> set[int]:
        """As `signal.sigpending`: what has come and is blocked."""
        return {as_signal(number) for number in signals_of(self.process).waiting}

    def _wait(self, name: str, sigset: Iterable[int], timeout: Any = None) -> tuple[int, Sender] | None:
        signals, numbers = signals_of(self.process), frozenset(sigset)
        schedule_point()
        found = next((number for number in sorted(signals.waiting) if number in numbers), None)
        if found is not None:
            return found, signals.waiting.pop(found)
        run = self.process.services.run
        wait = SignalWait(numbers)
        signals.waits.append(wait)
        try:
            called = ", ".join(map(name_of, sorted(numbers)))
            call = WaitingCall(run, name, wait.changes, lambda: wait.came is not None, lambda: f"no {called} comes")
            call.wait(None if timeout is None else run.virtual_clock.now + timeout)
        finally:
            signals.waits.remove(wait)
        return wait.came

    def _information(self, found: tuple[int, Sender] | None) -> Any:
        if found is None:
            return None
        number, sender = found
        user = 0 if sender is KERNEL else os.getuid()
        return signal.struct_siginfo((int(number), sender.code, 0, sender.pid, user, sender.status, 0))
