"""What becomes of a schedule that failed: it is shrunk, explained, recorded, and kept."""

from __future__ import annotations

from dataclasses import dataclass

import outcome

from detrun.execution.finished import Finished
from detrun.execution.new_run import NewRun
from detrun.explore.campaign.pieces import Found, Program, described, prepared
from detrun.explore.campaign.schedules import GivenSchedule, unpacked
from detrun.explore.campaign.verdicts import FAILED, INCONCLUSIVE, Exploration, Failure
from detrun.explore.failures.explain import explain
from detrun.explore.failures.kept import KeptFailures, replay_command
from detrun.explore.failures.shrink_schedule import shrink
from detrun.explore.failures.trials import Laboratory
from detrun_recorder.recording import Recording
from detrun_recorder.token import to_token
from detrun_scheduler.errors import UsageError


@dataclass(frozen=True, slots=True)
class Telling:
    """How a failure is to be told.

    Attributes:
        kept: where it is kept; None for nowhere.
        target: how the recording names the program.
    """

    program: Program
    kept: KeptFailures | None
    target: str
    shrink: bool
    explain: bool


def tell_failure(exploration: Exploration, found: Found, how: Telling) -> None:
    """Give the exploration its verdict and its failure.

    The schedule is run again for that. If it does not fail then, the verdict is that there is none.
    """
    program = how.program.with_faults(found.fault_lengths)
    which = f"schedule {found.index:,}" if found.index >= 0 else "a schedule kept from an earlier exploration"
    shrunk = explanation = None
    schedule = found.schedule
    with prepared(program) as ready:
        trial = Laboratory(ready, found.seed, 0).try_choices(unpacked(found.schedule))
        if trial.error is not None and how.shrink:
            shrunk = shrink(ready, found)
            if shrunk is not None:
                trial = shrunk.trial
                program, ready = program.with_faults(shrunk.fault_lengths), ready.with_faults(shrunk.fault_lengths)
            schedule = trial.schedule
        if trial.error is not None and how.explain:
            explanation = explain(ready, found.seed, trial)
        del trial
    finished = record_schedule(program, found.seed, schedule, how.target)
    if not isinstance(finished.outcome, outcome.Error):
        exploration.verdict = INCONCLUSIVE
        exploration.reason = (
            f"{which} failed ({found.error}), but did not fail when it was run again: something that the run does not "
            "control decides; see detrun check"
        )
        return
    error = finished.outcome.error
    exploration.verdict = FAILED
    exploration.reason = f"{which} failed: {described(error)}"
    recording = finished.recording
    path = None if how.kept is None else how.kept.save(recording, how.target)
    exploration.failure = Failure(
        error,
        recording,
        token_of(recording),
        replay_command(how.target, path, program.args),
        found.index,
        found.seed,
        schedule,
        explanation,
        shrunk,
        path,
    )


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
