"""`report_failure` makes a report of a schedule that failed: it is shrunk, explained, recorded, and kept."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import outcome

from detrun.explore.campaign.failed_schedule import FailedSchedule
from detrun.explore.campaign.program import Program, prepared
from detrun.explore.campaign.signatures import FailurePolicy
from detrun.explore.failures.kept import KeptFailures, elsewhere, replay_command
from detrun.explore.failures.recorded import record_schedule, token_of
from detrun.explore.failures.shrink_schedule import Shrunk, shrink
from detrun.explore.failures.stock_order import in_stock_order
from detrun.explore.failures.trials import TrialRunner
from detrun_recorder.recording import Recording

if TYPE_CHECKING:
    from detrun.explore.failures.explanation import Explanation


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report of a failure has, and where it is kept.

    Attributes:
        kept: where the recording is kept; None for nowhere.
        target: how the recording names the program.
        shrink, explain: whether the schedule is made simple, and compared with one that passes.
        confirm: whether a recording that is kept is replayed in a fresh process before.
    """

    kept: KeptFailures | None
    target: str
    shrink: bool = True
    explain: bool = True
    confirm: bool = True


@dataclass(slots=True)
class Failure:
    """A schedule that failed, made as simple as was possible.

    Attributes:
        exception: what the program raised when the recording was made.
        recording: of the shrunk schedule, made in this process, where it replays.
        token: the same schedule as pasteable text, None if it is too long for that.
        command: runs it again.
        index: of the schedule in the campaign that found it, the first of its kind; -1: it was kept from an earlier
            campaign.
        seed: of the run.
        schedule: the choices, as bytes.
        explanation: what it takes to fail; None if it was not asked for.
        shrunk: what shrinking achieved; None if it was not asked for.
        in_stock_order: of a program that runs asyncio: whether it fails in the order of asyncio's own loop, too; empty
            if no explanation was asked for.
        path: the recording's file, which is for fresh processes: if the recording itself does not replay in one, but
            the failure can be had there, it holds that (see ``remarks`` and `detrun.explore.failures.fresh_replay`).
        signature: its kind, as ``ignore`` takes it.
        count: how many schedules of the campaign failed so.
        remarks: what did not work around it: that it could not be kept, for one.
        program: what was run, so that a report can run it again.
    """

    exception: BaseException
    recording: Recording
    token: str | None
    command: str
    index: int
    seed: int
    schedule: bytes
    explanation: Explanation | None = None
    shrunk: Shrunk | None = None
    path: Path | None = None
    signature: str = ""
    count: int = 1
    remarks: list[str] = field(default_factory=list)
    in_stock_order: str = ""
    program: Program | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        what = f"{type(self.exception).__name__}: {self.exception}"
        why = [] if self.explanation is None else [str(self.explanation)]
        why += [self.in_stock_order] if self.in_stock_order else []
        return "\n".join([what, *why, self.command])

    def kind_text(self) -> str:
        """The kind, how often and where it occurred first, and how to run it again, in two lines."""
        first = f"first schedule {self.index:,}" if self.index >= 0 else "kept from an earlier exploration"
        return f"{self.count:,} × {self.signature} ({first})\n  {self.command}"


def report_failure(program: Program, found: FailedSchedule, options: ReportOptions, count: int = 1) -> Failure | None:
    """Run ``found`` again and report it; None if it does not fail then."""
    program = replace(program.at(found.grain).with_faults(found.fault_lengths), policy=FailurePolicy())
    shrunk = explanation = None
    stock_order = ""
    schedule = found.schedule
    # In a block of its own: the trials hold what their exceptions hold, and are gone before the recording is made.
    with prepared(program) as prepared_program:
        runner = TrialRunner(prepared_program, found.seed)
        trial = runner.try_schedule(found.schedule)
        if trial.error is not None and options.shrink:
            shrunk = shrink(runner, trial)
            trial = shrunk.trial
            if shrunk.fault_lengths:
                program = program.with_faults(shrunk.fault_lengths)
                runner = TrialRunner(prepared_program.with_faults(shrunk.fault_lengths), found.seed)
            schedule = trial.schedule
        if trial.error is not None and options.explain:
            # Here, since most explorations find nothing: it is half of what `detrun.explore` would import.
            from detrun.explore.failures.explain import explain

            explanation = explain(runner, trial)
            stock_order = in_stock_order(runner, trial)
        del trial, runner
    finished = record_schedule(program, found.seed, schedule, options.target)
    if not isinstance(finished.outcome, outcome.Error):
        return None
    recording = finished.recording
    filed, remarks = _confirmed(program, recording, options, found.signature)
    path, not_kept = _kept(filed, options)
    remarks += not_kept
    return Failure(
        finished.outcome.error,
        recording,
        token_of(filed),
        replay_command(options.target, path, program.args),
        found.index,
        found.seed,
        schedule,
        explanation,
        shrunk,
        path,
        found.signature,
        count,
        remarks,
        stock_order,
        program,
    )


def _confirmed(
    program: Program, recording: Recording, options: ReportOptions, signature: str
) -> tuple[Recording, list[str]]:
    """The recording to keep, for a fresh process, and what there is to say about it."""
    if options.kept is None or not options.confirm:
        return recording, []
    from detrun.explore.failures.fresh_replay import replayed_freshly  # processes are not needed otherwise

    fresh = replayed_freshly(program, recording, options.target, signature)
    remark = fresh.remark()
    return fresh.cold or recording, [remark] if remark else []


def _kept(recording: Recording, options: ReportOptions) -> tuple[Path | None, list[str]]:
    """Where the recording is kept. A full disk costs the file, never the finding."""
    if options.kept is None:
        return None, []
    try:
        return options.kept.save(recording, options.target), []
    except OSError as error:
        reason = f"{options.kept.folder} cannot be written ({error.strerror or error})"
    try:
        path = elsewhere(recording, options.target)
    except OSError:
        return None, [f"the recording was not kept: {reason}; the token, if there is one, runs the schedule again"]
    return path, [f"the recording is in {path.parent}, where the next exploration does not look for it: {reason}"]
