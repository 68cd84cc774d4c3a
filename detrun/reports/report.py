"""A recorded run as one HTML file: how it was made, its space-time diagram, its steps, and why it failed.

What the recording alone says is always there. Lines of code, values of variables and the cause of a failure need the
program, which is run once more; without it the page says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import outcome

from detrun.execution.replayed_run import ReplayedRun
from detrun.pages.page import page_of
from detrun.pages.run_facts import ending_of, facts_of, title_of
from detrun.pages.timeline import timeline_of
from detrun.reports.failure_view import FailureView, failure_view
from detrun.reports.pauses import Looker, Pauses
from detrun.reports.source_lines import groups_of, source_lines
from detrun.reports.values import STEPS_MAX as VALUES_STEPS_MAX
from detrun.reports.values import Values
from detrun.reports.world_view import WorldView, moments_of
from detrun_recorder.recording import Recording

if TYPE_CHECKING:
    from detrun.execution.options import Options
    from detrun.execution.program import Main
    from detrun.explore.failures.failure import Failure
    from detrun.explore.failures.narration import Narration

STEPS_MAX = 200_000  # of one page; a browser holds twice as many


@dataclass(slots=True)
class Told:
    """What is known of a run beside its recording.

    Attributes:
        narration: the lines that its steps ran.
        values: what was held between its last steps.
        world: its nodes, disks and messages, at some moments.
        failure: why it failed.
        notes: what a reader should know before.
        facts: by name, shown after those of the recording.
    """

    narration: Narration | None = None
    values: Values | None = None
    world: WorldView | None = None
    failure: FailureView | None = None
    notes: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)


def told_by_program(
    recording: Recording, main: Main, args: Sequence[object], options: Options, again: str = ""
) -> Told:
    """What the program says when it makes the recorded run again.

    Args:
        again: the command by which a reader runs it again.

    Raises:
        DetrunError: it does not.
    """
    from detrun.explore.failures.narrated_recording import narrated
    from detrun.explore.failures.narration import STEPS_MAX as NARRATED_MAX

    failed = recording.end is not None and recording.end.outcome != "ok"
    values = Values(max(recording.steps - VALUES_STEPS_MAX, 1)) if failed else None
    world = WorldView(moments_of(recording))
    lookers: list[Looker] = [world] if values is None else [world, values]
    finished = ReplayedRun(recording, watch=Pauses(lookers)).execute(main, args, options)
    told = Told(narrated(recording, main, args, options), values, world)
    if isinstance(finished.outcome, outcome.Error):
        told.failure = failure_view(finished.outcome.error, failing=told.narration, again=again)
    if recording.steps > NARRATED_MAX:
        told.notes.append(f"lines of code are shown for the first {NARRATED_MAX:,} of {recording.steps:,} steps")
    return told


def told_of_failure(failure: Failure) -> Told:
    """What an exploration found out about a failure.

    Raises:
        DetrunError: its program does not make the recorded run again.
    """
    told = Told()
    if failure.program is not None:
        program = failure.program
        told = told_by_program(failure.recording, program.main, program.args, program.options)
    told.failure = failure_view(failure.exception, failure.explanation, told.narration, failure.command)
    if failure.in_stock_order:
        told.facts["in the order of asyncio"] = failure.in_stock_order
    if failure.shrunk is not None:
        told.facts["shrunk"] = str(failure.shrunk).removeprefix("shrunk ")
    told.facts["signature"] = failure.signature
    told.facts["again"] = failure.command
    if failure.token is not None:
        told.facts["token"] = failure.token
    told.notes += failure.remarks
    return told


def run_page(recording: Recording, told: Told, steps: range | None = None) -> str:
    """The text of the file.

    Args:
        steps: consecutive ones to show; None for all, or the last `STEPS_MAX` of more.
    """
    notes = list(told.notes)
    if steps is None:
        steps = range(max(recording.steps - STEPS_MAX, 0), recording.steps)
        if steps.start:
            notes.append(f"the last {len(steps):,} of {recording.steps:,} steps; others with --steps FIRST:LAST")
    groups: Mapping[str, str] = {} if told.narration is None else groups_of(told.narration)
    outcome_said, good = ending_of(recording)
    document: dict[str, Any] = {
        "outcome": outcome_said,
        "good": good,
        "facts": {**facts_of(recording), **told.facts},
        "notes": notes,
        "timeline": timeline_of(recording, steps, groups).document(),
        "source": None if told.narration is None else source_lines(told.narration, steps).document(),
        "values": None if told.values is None else told.values.document(),
        "world": None if told.world is None else told.world.document(),
        "failure": None if told.failure is None else told.failure.document(),
    }
    return page_of(title_of(recording), document)
