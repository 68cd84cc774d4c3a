"""A schedule run once more and recorded."""

from __future__ import annotations

from detrun.execution.finished import Finished
from detrun.execution.new_run import NewRun
from detrun.execution.schedules import unpacked
from detrun.explore.campaign.program import Program
from detrun_recorder.recording import Recording
from detrun_recorder.token import to_token
from detrun_scheduler.errors import UsageError
from detrun_scheduler.strategies.given import GivenSchedule


def record_schedule(program: Program, seed: int, schedule: bytes, target: str) -> Finished:
    """Run one schedule once more and record it."""
    run = NewRun(seed, GivenSchedule(unpacked(schedule)), target=target, params=program.gradient_of or {})
    return run.execute(program.main, program.args, program.options)


def token_of(recording: Recording) -> str | None:
    """The schedule as a token, None if it is too long for one."""
    try:
        return to_token(recording)
    except UsageError:
        return None
