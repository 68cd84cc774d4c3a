"""Why a recorded run failed, where all there is of it is its file: what decides, and the nearest schedule that passes.

An exploration finds this out when it finds the failure (`detrun.explore.failures.explain`). Here the same is done from
the choices of a recording, by up to two hundred further runs of the program. They are no replays, so a program with
external effects, which they would cause, is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from detrun_recorder.recording import Recording

if TYPE_CHECKING:
    from detrun.execution.options import Options
    from detrun.execution.program import Main
    from detrun.explore.failures.explanation import Explanation

STEPS_MAX = 5_000  # of a run that is explained
SECONDS = 10.0  # after which no further run begins


def why_unexplained(recording: Recording) -> str:
    """Why no schedule that passes is looked for, in words; empty if one is."""
    if recording.steps > STEPS_MAX:
        return f"it has more than {STEPS_MAX:,} steps; explore finds and explains shorter failures"
    if any(chunk.payloads for chunk in recording.chunks()):
        return "its program has external effects, which other schedules would cause again"
    return ""


def explained(recording: Recording, main: Main, args: Sequence[object], options: Options) -> Explanation | None:
    """What decides that it failed; None if it did not, is long, has external effects, or does not fail again.

    Raises:
        DetrunError: the program cannot be run again.
    """
    from detrun.explore.campaign import observed as observed  # so that detrun's own objects leave footprints
    from detrun.explore.campaign.program import Program, prepared
    from detrun.explore.failures.explain import explain
    from detrun.explore.failures.trials import TrialRunner

    if recording.end is None or recording.end.outcome == "ok" or why_unexplained(recording):
        return None
    options = replace(options.with_recorded(recording, main), fault_lengths=recording.fault_lengths)
    with prepared(Program(main, args, options)) as program:
        runner = TrialRunner(program, recording.seed or 0)
        trial = runner.try_schedule(b"".join(chunk.choices for chunk in recording.chunks()))
        if trial.error is None or type(trial.error).__name__ != recording.end.error_type:
            return None
        return explain(runner, trial, seconds=SECONDS)
