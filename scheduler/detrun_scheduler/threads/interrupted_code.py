"""What the two ways to interrupt threads share: what they ask of a `Preemption`, and how a thread gives way.

The two are `traced_threads` (Python 3.11) and `monitored_threads` (3.12 and later).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Protocol

from detrun_scheduler.trio_host.private import CHECKPOINT_TRAP
from detrun_scheduler.user_code import is_own_file, standard_module

POINT, ONLY_OBSERVED = 1, 2  # what an instruction is, 0 for nothing
TRAP = (CHECKPOINT_TRAP,)
call_tracing: Callable[..., Any] = sys.call_tracing


class InstructionObserver(Protocol):
    """Is told of watched instructions; `footprints.accesses.AccessObserver` in life."""

    def about_to_run(self, frame: FrameType, offset: int) -> None:
        """The instruction at ``offset`` of the function in ``frame`` comes next, in a simulated thread."""


class InterruptedCode(Protocol):
    """Where threads are interrupted; a `Preemption` in life."""

    by_opcode: bool
    looks_once: bool
    observer: InstructionObserver | None
    heard_by: Callable[[FrameType, str, Any], Any] | None
    points: dict[int, bytes | None]
    standard: set[int]

    @property
    def only_at(self) -> object | None:
        """What schedule points are restricted to; None: nothing."""

    def points_of(self, frame: FrameType) -> bytes | None:
        """The schedule points of the function that runs in ``frame``, None if it is not watched."""

    def is_point(self, code: CodeType, line: int) -> bool:
        """Whether a line of a watched function is a schedule point, where lines are."""

    def interrupts(self) -> bool:
        """Whether a thread that has come to a schedule point gives way there."""


def serves_scheduler(frame: FrameType) -> bool:
    """Whether detrun or trio has called the function of the standard library in ``frame``, itself or by way of others.

    The outermost frames of a thread are detrun's, too: what they call is the thread's own business.
    """
    caller = frame.f_back
    while caller is not None and standard_module(caller.f_code.co_filename):
        caller = caller.f_back
    if caller is None or not is_own_file(caller.f_code.co_filename):
        return False
    while caller is not None and is_own_file(caller.f_code.co_filename):
        caller = caller.f_back
    return caller is not None
