"""A recorded run as one HTML file: how it was made, its space-time diagram, its steps, and why it failed.

What the recording alone says is always there. Lines of code, values of variables and the cause of a failure need the
program, which is run once more; without it the page says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import outcome

from detrun.inspection.moments import shown_objects
from detrun.pages.page import page_of
from detrun.pages.run_facts import run_document, shown_steps, title_of
from detrun.races.watch import replayed_run
from detrun.reports.failure_view import FailureView, failure_view
from detrun.reports.held_locks import HeldLocks
from detrun.reports.pauses import Looker, Pauses
from detrun.reports.source_lines import groups_of, source_lines
from detrun.reports.timers import Timers
from detrun.reports.values import Values, recorded_turn_ends, values_of
from detrun.reports.world_view import WorldView, world_view_of
from detrun_recorder.recording import Recording
from detrun_scheduler.frozen_heap import frozen_heap

if TYPE_CHECKING:
    from detrun.execution.options import Options
    from detrun.execution.program import Main
    from detrun.explore.failures.explanation import Explanation
    from detrun.explore.failures.failure import Failure
    from detrun.explore.failures.narration import Narration


@dataclass(slots=True)
class Told:
    """What is known of a run beside its recording.

    Attributes:
        narration: the lines that its steps ran.
        values: what was held after its last turns.
        passing_values: likewise, of the schedule that passes.
        world: its nodes, disks and messages, at some moments.
        locks: those of trio, and who had them.
        timers: who set them, when they fired, and which waits were cancelled.
        failure: why it failed.
        notes: what a reader should know before.
        facts: by name, shown after those of the recording.
    """

    narration: Narration | None = None
    values: Values | None = None
    passing_values: Values | None = None
    world: WorldView | None = None
    locks: HeldLocks | None = None
    timers: Timers | None = None
    failure: FailureView | None = None
    notes: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)


def told_by_program(
    recording: Recording,
    main: Main,
    args: Sequence[object],
    options: Options,
    again: str = "",
    explanation: Explanation | None = None,
    steps: range | None = None,
) -> Told:
    """What the program says when it makes the recorded run again.

    Args:
        again: the command by which a reader runs it again.
        explanation: of its failure.
        steps: consecutive ones that will be shown; None for all.

    Raises:
        DetrunError: it does not.
    """
    from detrun.explore.failures.narrated_recording import narrated

    failed = recording.end is not None and recording.end.outcome != "ok"
    lines = _narrated_part(recording.steps, steps, failed)
    world = world_view_of(recording)
    locks = HeldLocks()
    timers = Timers()
    lookers: list[Looker] = [world]
    values = None
    if failed:
        values = Values(recorded_turn_ends(recording), shown_objects())
        lookers.append(values)
    with frozen_heap():  # so that a moment looks through what has been made since, and through nothing else
        finished = replayed_run(recording).execute(main, args, options, Pauses(lookers, [world.bands, locks, timers]))
    told = Told(narrated(recording, main, args, options, lines), values, world=world, locks=locks, timers=timers)
    if isinstance(finished.outcome, outcome.Error):
        told.failure = failure_view(finished.outcome.error, explanation, told.narration, again)
    if len(lines) < recording.steps:
        shown = f"of steps {lines.start:,} to {lines.stop - 1:,}, {len(lines):,} of {recording.steps:,}"
        told.notes.append(f"lines of code are shown {shown}; of others with --steps FIRST:LAST")
        if told.failure is not None and explanation is None:
            told.failure.cut = f"The turns {shown}, are shown."
    if values is not None and explanation is not None and explanation.passing is not None:
        told.passing_values = _passing_values(recording, explanation, values, main, args, options)
    return told


def _narrated_part(count: int, steps: range | None, failed: bool) -> range:
    """The steps whose lines are shown: of too many those at the end of a run that failed, else the first."""
    from detrun.explore.failures.narration import STEPS_MAX

    if count <= STEPS_MAX or steps is None:
        steps = range(count)
    if len(steps) <= STEPS_MAX:
        return steps
    return steps[-STEPS_MAX:] if failed and steps.stop == count else steps[:STEPS_MAX]


def _passing_values(
    recording: Recording,
    explanation: Explanation,
    values: Values,
    main: Main,
    args: Sequence[object],
    options: Options,
) -> Values | None:
    """What the nearest schedule that passes held after its turns, from where the values of the failing one begin."""
    if explanation.passing is None or any(chunk.payloads for chunk in recording.chunks()):
        return None  # effects of the program would happen once more
    first = explanation.first_difference
    since = min(values.moments[0] if values.moments else 0, first if first is not None else recording.steps)
    options = replace(options.with_recorded(recording, main), fault_lengths=recording.fault_lengths)
    return values_of(explanation.passing, since, main, args, options)


def told_of_failure(failure: Failure) -> Told:
    """What an exploration found out about a failure.

    Raises:
        DetrunError: its program does not make the recorded run again.
    """
    program, explanation = failure.program, failure.explanation
    if program is None:
        told = Told(failure=failure_view(failure.exception, explanation, again=failure.command))
    else:
        told = told_by_program(
            failure.recording, program.main, program.args, program.options, failure.command, explanation
        )
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
        steps, cut = shown_steps(recording)
        notes += [f"{one}; others with --steps FIRST:LAST" for one in cut]
    groups: Mapping[str, str] = {} if told.narration is None else groups_of(told.narration)
    document = run_document(recording, steps, groups=groups, facts=told.facts, notes=notes)
    if told.locks is not None:
        if told.locks.left_out:
            document["notes"].append(told.locks.cut())
        document["timeline"]["held"] += told.locks.bars_of(document["timeline"])
    if told.timers is not None:
        document["timeline"].update(told.timers.document(document["timeline"]))
    if told.narration is not None:
        document["source"] = source_lines(told.narration, steps).document()
    if told.values is not None:
        document["values"] = {"failing": told.values.document(), "passing": None}
        if told.passing_values is not None:
            document["values"]["passing"] = told.passing_values.document()
    for section, shown in (("world", told.world), ("failure", told.failure)):
        document[section] = None if shown is None else shown.document()
    return page_of(title_of(recording), document)
