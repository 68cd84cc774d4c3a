"""Every error a user can see, in one tree under `DetrunError`.

The rule: a message names the thing, its value and the way out, and the exception carries the same as attributes.
The types live in the lowest layer because all three packages raise them; `detrun.errors` re-exports them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detrun_scheduler.visible import visible


class DetrunError(Exception):
    """Base of everything detrun raises on purpose. Its message has no control characters, whatever it quotes."""

    def __str__(self) -> str:
        return visible(super().__str__())


class UsageError(DetrunError):
    """The call itself is wrong: an unknown strategy, a target that is not a function, a nested run."""


class HiddenStateError(DetrunError):
    """The program touched state that a run does not control: a real socket, thread, process or prompt."""


class DeadlockError(DetrunError):
    """Nothing can run, no timer is set, nothing external is pending; the report is in the message and, as data, in
    ``blocked`` (every blocked task, by spawn number) and ``cycle`` (paths, each waiting for the next, the first again).
    """

    blocked: Sequence[Any] = ()  # of detrun_scheduler.reports.blocking.BlockedTask
    cycle: Sequence[str] = ()


class StepLimitError(DetrunError):
    """The run took more than ``max_steps`` steps: a livelock, or a limit set too low."""


class StalledError(DetrunError):
    """One step took longer than ``step_timeout`` real seconds: it waits in C, or computes without end.

    ``call`` names the function and the line: ``_PollLikeSelector.select (/usr/lib/python3.11/selectors.py:415)``.
    """

    call: str = ""


class NondeterminismError(DetrunError):
    """Two runs of the same program with the same seed differed; the first difference is in the message and, as data,
    in ``difference``.
    """

    difference: Any = None  # a detrun.determinism.Difference


class DivergenceError(DetrunError):
    """A replay left its recording; the first difference is in the message and, as data, in ``divergence``."""

    divergence: Any = None  # a detrun_recorder.Divergence


class RecordingFormatError(DetrunError):
    """The file is not a recording, is damaged, or was written by a newer version."""


class NotDifferentiableError(DetrunError):
    """A derivative was asked for where there is none, or where any number would be silently wrong."""


class Finding(RuntimeWarning):
    """What a run has found though nothing raised it; the message says where, and ``place`` as data: file and line."""

    place: tuple[str, int] | None = None


def text_of(error: BaseException) -> str:
    """What an exception says of itself, also where its class fails to say anything."""
    try:
        return str(error)
    except Exception as failure:
        return f"<its text raises {type(failure).__name__}>"
