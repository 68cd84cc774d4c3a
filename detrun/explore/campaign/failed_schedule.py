"""A schedule that failed, as a campaign reports it: enough to run it again, and the exception in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from detrun.explore.campaign.grains import Grain
from detrun_scheduler.endings import exception_leaves


@dataclass(frozen=True, slots=True)
class FailedSchedule:
    """A schedule that failed, and what is known before it is looked into."""

    index: int  # in the campaign; -1: kept from an earlier one
    seed: int  # of the run
    schedule: bytes
    error: str  # the exception's type and message, for when it cannot be had again
    steps: int
    signature: str = ""  # the kind of the failure, as text
    fault_lengths: Mapping[str, float] = field(default_factory=dict)  # of one that was kept; see `Options`
    grain: Grain | None = None  # where its threads were interrupted; None: as the program's options say


@dataclass(slots=True)
class FailureKind:
    """Failures of one signature in a campaign."""

    first: FailedSchedule
    count: int = 1
    is_ignored: bool = False


def described(error: BaseException) -> str:
    """The type and the first line of an exception, or of the only one in a group."""
    found = exception_leaves(error)
    if len(found) > 1:
        kinds = dict.fromkeys(type(leaf).__name__ for leaf in found)
        return f"{type(error).__name__} of {', '.join(kinds)}"
    lines = str(found[0]).splitlines() if found else []
    name = type(found[0] if found else error).__name__
    return f"{name}: {lines[0]}" if lines else name
