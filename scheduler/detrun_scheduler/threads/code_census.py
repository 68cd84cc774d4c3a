"""`CodeCensus`: whose code runs in the simulated threads of a run.

For one run it takes the place of a `Preemption`. It sees each call that a thread makes and interrupts none, so the run
takes the same steps as without it. Bodies of modules do not count, since they run once in a process.
"""

from __future__ import annotations

from types import FrameType

from greenlet import getcurrent

from detrun_scheduler.threads.interrupted_code import serves_scheduler
from detrun_scheduler.threads.preemption import Preemption
from detrun_scheduler.threads.simulated_thread import SimulatedThread
from detrun_scheduler.user_code import standard_module

_NOTHING = "<nothing>"  # matches no file


class CodeCensus(Preemption):
    """Counts.

    Attributes:
        threads_of: by file (``co_filename``), the idents of the threads in which its code ran.
    """

    looks_once = False

    def __init__(self) -> None:
        super().__init__("line", (_NOTHING,), only_at=())
        self.threads_of: dict[str, set[int]] = {}

    def points_of(self, frame: FrameType) -> None:
        """Nothing is watched; the call is counted."""
        thread, code = getcurrent(), frame.f_code
        if type(thread) is not SimulatedThread or code.co_name == "<module>":
            return
        if not (standard_module(code.co_filename) and serves_scheduler(frame)):
            self.threads_of.setdefault(code.co_filename, set()).add(thread.ident)
