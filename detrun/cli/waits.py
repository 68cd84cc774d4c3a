"""Waits as `detrun show` says them.

A recording knows a wait by the function of trio that would abort it, which is the same for all that wait for the clock.
A task that is still there when nothing can run and no timer is set has called ``trio.sleep_forever``; of any other wait
for the clock only the program itself, run again, tells which it was.
"""

from __future__ import annotations

from detrun_recorder.steps import ENDED

CLOCK = "sleep_forever"


def wait_shown(outcome: str) -> str:
    """How a step ended; a wait for the clock as ``trio.sleep``, its name in almost every program."""
    return "trio.sleep" if outcome == CLOCK else outcome


def is_wait(outcome: str) -> bool:
    """Whether a step that ended so left its task blocked."""
    return outcome != "checkpoint" and outcome not in ENDED
