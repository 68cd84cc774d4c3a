"""A recorded run as one HTML file: how it was made, its space-time diagram, its steps, and why it failed.

What the recording alone says is always there. Lines of code, values of variables and the cause of a failure need the
program, which is run once more; without it the page says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import outcome

from detrun.execution.replayed_run import ReplayedRun
from detrun.pages.page import page_of
from detrun.pages.run_facts import run_document, shown_steps, title_of
from detrun.reports.failure_view import FailureView, failure_view
from detrun.reports.held_locks import HeldLocks
from detrun.reports.pauses import Looker, Pauses
from detrun.reports.source_lines import groups_of, source_lines
from detrun.reports.values import STEPS_MAX as VALUES_STEPS_MAX
from detrun.reports.values import Values
from detrun.reports.world_view import WorldView, moments_of
from detrun_recorder.recording import Recording

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
        values: what was held between its last steps.
        world: its nodes, disks and messages, at some moments.
        locks: those of trio, and who had them.
        failure: why it failed.
        notes: what a reader should know before.
        facts: by name, shown after those of the recording.
    """

    narration: Narration | None = None
    values: Values | None = None
    world: WorldView | None = None
    locks: HeldLocks | None = None
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
) -> Told:
    """What the program says when it makes the recorded run again.

    Args:
        again: the command by which a reader runs it again.
        explanation: of its failure.

    Raises:
        DetrunError: it does not.
    """
    from detrun.explore.failures.narrated_recording import narrated
    from detrun.explore.failures.narration import STEPS_MAX as NARRATED_MAX

    failed = recording.end is not None and recording.end.outcome != "ok"
    values = Values(max(recording.steps - VALUES_STEPS_MAX, 1)) if failed else None
    world = WorldView(moments_of(recording))
    locks = HeldLocks()
    lookers: list[Looker] = [world] if values is None else [world, values]
    finished = ReplayedRun(recording, watch=Pauses(lookers, [world.bands, locks])).execute(main, args, options)
    told = Told(narrated(recording, main, args, options), values, world, locks=locks)
    if isinstance(finished.outcome, outcome.Error):
        told.failure = failure_view(finished.outcome.error, explanation, told.narration, again)
    if recording.steps > NARRATED_MAX:
        told.notes.append(f"lines of code are shown for the first {NARRATED_MAX:,} of {recording.steps:,} steps")
    return told


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
        document["timeline"]["held"] += told.locks.bars_of(document["timeline"])
    if told.narration is not None:
        document["source"] = source_lines(told.narration, steps).document()
    for section, shown in (("values", told.values), ("world", told.world), ("failure", told.failure)):
        document[section] = None if shown is None else shown.document()
    return page_of(title_of(recording), document)
