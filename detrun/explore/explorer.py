"""`explore`: run a program under many schedules, and come back with a verdict and, if one fails, all about it.

The schedules are those of a campaign (`campaign.py`). The first that fails is run again with everything on, shrunk,
explained, and recorded; the recording is kept in a directory, and the next exploration of the same program tries what
is kept there first. What is reported is a function of the program, the seed, the strategy, and what is kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import outcome

from detrun.execution import Anew, Finished, Main, Options, check_main, target_of
from detrun.explore import observed as observed
from detrun.explore.campaign import Campaign
from detrun.explore.explain import explain as explain_failure
from detrun.explore.kept import KeptFailures, replay_command
from detrun.explore.pieces import Found, Program, Report, described, quiet_collector
from detrun.explore.schedules import GivenSchedule, unpacked
from detrun.explore.shrink import shrink as shrink_schedule
from detrun.explore.trials import Laboratory
from detrun.explore.verdicts import FAILED, HOLDS, INCONCLUSIVE, PASSED, Exploration, Failure, Statistics
from detrun_recorder.token import to_token
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.strategies import make, name_of
from detrun_scheduler.strategies.campaigns import Search

DEFAULT_MAX_STEPS = 20_000


def explore(
    main: Main,
    *args: object,
    strategy: str | Oracle = "portfolio",
    schedules: int = 1000,
    seed: int = 0,
    max_steps: int | None = DEFAULT_MAX_STEPS,
    time_limit: float | None = None,
    executor: Executor | None = None,
    workers: int = 1,
    shrink: bool = True,
    explain: bool = True,
    directory: str | os.PathLike[str] | None = ".detrun",
    target: str | None = None,
    progress: Callable[[Report], None] | None = None,
) -> Exploration:
    """Run ``main(*args)`` under many schedules until one fails."""
    check_main(main)
    options = Options(max_steps=max_steps)
    program = Program(main, args, options)
    oracle = make(strategy)
    name = target if target is not None else target_of(main)
    kept = None if directory is None else KeptFailures(Path(directory))
    campaign = Campaign(
        program,
        oracle,
        seed=seed,
        schedules=schedules,
        time_limit=time_limit,
        executor=executor,
        workers=workers,
        progress=progress,
    )
    started, cpu_started = time.monotonic(), time.process_time()
    tried = None if kept is None else kept.try_again(program, name)
    report = campaign.run() if tried is None else Report(0, steps=tried[0].steps, found=tried[0])
    statistics = Statistics(
        report.steps,
        report.choices_most,
        report.redundant,
        time.monotonic() - started,
        time.process_time() - cpu_started,
    )
    exploration = Exploration(
        INCONCLUSIVE, "", report.schedules, name_of(strategy), seed, None, report.coverage, statistics
    )
    if report.found is not None:
        _tell_failure(exploration, report.found, Telling(program, kept, name, shrink, explain))
    else:
        exploration.verdict, exploration.reason = _conclusion(report, oracle, campaign.stop_reason)
    return exploration


def _conclusion(report: Report, oracle: Oracle, stop_reason: str) -> tuple[str, str]:
    count = f"{report.schedules:,} schedule{'' if report.schedules == 1 else 's'}"
    if report.exhausted and isinstance(oracle, Search):
        redundant = f" ({report.redundant:,} more were redundant)" if report.redundant else ""
        return HOLDS, f"holds for {oracle.bound()}: {count} run, none failed{redundant}"
    if stop_reason:
        return INCONCLUSIVE, f"{stop_reason} after {count}, none of which failed"
    if isinstance(oracle, Search):
        return PASSED, f"{count} run, none failed, but the search is not complete"
    return PASSED, f"{count} sampled, none failed"


@dataclass(frozen=True, slots=True)
class Telling:
    """How a failure is to be told."""

    program: Program
    kept: KeptFailures | None
    target: str
    shrink: bool
    explain: bool


def _tell_failure(exploration: Exploration, found: Found, how: Telling) -> None:
    """Shrink, explain and record what was found."""
    program = how.program
    which = f"schedule {found.index:,}" if found.index >= 0 else "a schedule kept from an earlier exploration"
    shrunk = explanation = None
    schedule = found.schedule
    with quiet_collector():
        trial = Laboratory(program, found.seed, 0).try_choices(unpacked(found.schedule))
        if trial.error is not None and how.shrink:
            shrunk = shrink_schedule(program, found)
            trial = shrunk.trial if shrunk is not None else trial
            schedule = trial.schedule
        if trial.error is not None and how.explain:
            explanation = explain_failure(program, found.seed, trial)
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
        replay_command(how.target, path, bool(program.args)),
        found.index,
        found.seed,
        schedule,
        explanation,
        shrunk,
        path,
    )


def record_schedule(program: Program, seed: int, schedule: bytes, target: str) -> Finished:
    """Run one schedule once more and record it."""
    plan = Anew(seed, GivenSchedule(unpacked(schedule)), target=target)
    return plan.execute(program.main, program.args, program.options)


def token_of(recording: Any) -> str | None:
    """The schedule as a token, None if it is too long for one."""
    try:
        return to_token(recording)
    except UsageError:
        return None
