"""`KeptMoments`: forked processes that hold a replayed run at earlier moments, so that going back is short.

A run cannot be taken backward, and its tasks cannot be copied; a forked process is a copy of both. So a session of a
debugger is a chain of processes. Only the last of it runs; those before it sleep, each as the run was at some step.
Going back, the last process says where to and what the session is like (`Session.state`), and ends. The one that sleeps
nearest before that step takes over: it forks again, so that it stays, and the new process goes on from there.

Where to keep moments: on the way to a step, at half of the way, at three quarters, and so on, until `LEAST` steps are
left. A step back costs at most twice that many steps, a longer one about as many steps as it goes back, and the chain
grows by the logarithm of the way.

Source of the idea: the debugger of OCaml keeps checkpoints by `fork`.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol

from detrun_recorder.snapshots import IN_CHILD, can_fork, fork_here, in_fork, reply
from detrun_scheduler import current
from detrun_scheduler.environment.hidden_state import allowed

LEAST = 500  # steps
_GO, _END = "go", "end"


class Session(Protocol):
    """What outlives a process of the chain, as plain values."""

    def state(self) -> dict[str, Any]:
        """What a process that takes over has to know."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as that process was."""


def is_possible() -> bool:
    """Whether processes can be forked here, and would write where this one does."""
    try:
        return can_fork() and sys.stdout.fileno() >= 0
    except (OSError, ValueError):  # it is captured, or closed
        return False


def in_chain(body: Callable[[], None]) -> None:
    """Run a session, which may keep moments, in processes of its own.

    Raises:
        SnapshotError: one of them was killed, and none was left to take over.
    """

    def led() -> None:
        body()
        end()

    with _interrupts_ignored():
        in_fork(led, own_group=False)


def end() -> NoReturn:
    """The session is over, in all processes."""
    reply([_END])


class KeptMoments:
    """The chain as the process at its end sees it.

    Args:
        session: what is handed over.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def keep(self, step: int, target: int) -> int:
        """Stay behind at ``step``, on the way to ``target``; returns in a new process, with the step to go to.

        The process that stays returns never: it ends when the session does, or a step before its own is wanted.
        """
        while True:
            with _outside(), _interrupts_ignored():
                answer = fork_here()
            if answer is IN_CHILD:
                return target
            if answer[0] == _END or answer[1] < step:
                with _outside():
                    reply(answer)
            target, state = answer[1:]
            self.session.restore(state)

    def go_back(self, step: int) -> NoReturn:
        """Let the process that sleeps nearest before ``step`` take over; this one ends."""
        with _outside():
            reply([_GO, step, self.session.state()])
        raise AssertionError("reply ends the process")


def stops(start: int, target: int) -> Iterator[int]:
    """Where to keep moments on the way from one step to a later one."""
    left = target - start
    while left > 2 * LEAST:
        left //= 2
        yield target - left


@contextmanager
def _outside() -> Iterator[None]:
    """What is done here is none of the held run's doing."""
    run, current.run = current.run, None
    try:
        with allowed():
            yield
    finally:
        current.run = run


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ctrl-C is for the process that runs; those that sleep go on sleeping."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
