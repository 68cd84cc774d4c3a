"""Ctrl-C while many runs are made.

The first ends them after the run that goes on, with the results so far; the second at once.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interruption:
    """While entered, in the main thread, Ctrl-C only sets ``requested``; once for a whole campaign.

    A run takes Ctrl-C itself, and pays for installing that, only where Python's own handler is in place.
    """

    __slots__ = ("_previous", "requested")

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __enter__(self) -> Interruption:
        is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if is_ours and threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
