"""The listing of an interleaving on a page: of a failed schedule, of a schedule token, and of a recording.

The lines of the program are in no recording: the program is run once more, and must make the run again that the
recording holds. Where it does not (it was edited, it is gone, it has an effect that forbids a replay), the lanes say
what the recording says of each step, and a note says why.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from detrun_recorder.connections import MessageMark, connections, message_marks

if TYPE_CHECKING:
    from detrun.cli.page import Page
    from detrun.execution.scope import RunScope
    from detrun.explore.failures.listing import Listing
    from detrun.explore.failures.narrated_steps import NarratedStep
    from detrun.explore.failures.narration import Narration
    from detrun_recorder.recording import Recording

CONNECTED_MAX = 200_000  # steps of a run whose messages are traced to their other ends, at 4 µs each
STEPS_LISTED = 4_000  # of a long recording: half of them from its beginning

Marks: TypeAlias = tuple[dict[int, list[MessageMark]], dict[int, list[MessageMark]]]  # see `message_marks`


@dataclass(slots=True)
class Listed:
    """A listing, and what its reader has to know."""

    listing: Listing
    notes: list[str] = field(default_factory=list)


def print_listing(page: Page, narration: Narration, critical: int | None = None) -> None:
    """What each task ran, step by step, with the step ``critical`` pointed out."""
    from detrun.explore.failures.listing import Listing

    print_lanes(page, Listing(narration, critical))


def print_lanes(page: Page, listing: Listing) -> None:
    """A column for each task where there is room for them, and else the tasks' names before their lines."""
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console(highlight=False)
        console.print(listing.rich_table(console.width))
    else:
        page.text(listing.plain())


def listed(
    recording: Recording,
    file: str,
    target: str | None,
    *,
    replays: bool = True,
    steps: range | None = None,
    critical: int | None = None,
) -> Listed:
    """The listing of a recording: with the lines of its program where that still makes this run.

    Args:
        target: the program; None for the one that the recording names.
        replays: whether the program may be run.
        steps: those to list; None for all.
        critical: a step to be pointed out.
    """
    from detrun.explore.failures.listing import Listing, rows_of

    wanted = steps if steps is not None else range(recording.steps)
    narration, notes = narrated_if_possible(recording, file, target) if replays else (None, [])
    marks = message_marks(connections(recording)) if recording.steps <= CONNECTED_MAX else ({}, {})
    if narration is None:
        chosen = _recorded_steps(recording, wanted, marks)
    else:
        chosen = (_with_messages(step, marks) for step in narration.steps if step.index in wanted)
    return Listed(Listing(rows_of(chosen, critical)), notes)


def _with_messages(step: NarratedStep, marks: Marks) -> NarratedStep:
    """The step with the messages that reached it and left it."""
    received, sent = ([mark.text for mark in by_step.get(step.index, ())] for by_step in marks)
    return replace(step, did=(*received, *step.did, *sent)) if received or sent else step


def narrated_if_possible(
    recording: Recording, file: str, target: str | None, scope: RunScope | None = None
) -> tuple[Narration | None, list[str]]:
    """The lines of the program that makes the run again, and what to know of them; None where it does not.

    Args:
        scope: surrounds the replay that shows whether it does.
    """
    from detrun_scheduler.errors import DivergenceError, HiddenStateError, UsageError

    try:
        return _replayed(recording, file, target, scope)
    except (UsageError, DivergenceError, HiddenStateError) as error:
        reason = str(error).partition("\n")[0]
        return None, [f"what the recording says, without lines of code: the program cannot be run again ({reason})"]


def _replayed(
    recording: Recording, file: str, target: str | None, scope: RunScope | None
) -> tuple[Narration, list[str]]:
    """The narration of the run that the program makes again, and what to know of it.

    Raises:
        UsageError, DivergenceError, HiddenStateError: it cannot be found, must not be run, or makes another run.
    """
    from detrun.cli import runs
    from detrun.cli.programs import change_noted, program_of
    from detrun.cli.progress import run_progress
    from detrun.execution.options import Options
    from detrun.explore.failures.narrated_recording import narrated
    from detrun.explore.failures.narration import STEPS_MAX
    from detrun.races.watch import replayed_run

    program, arguments = program_of(recording, file, target, {})
    with runs.program_output():
        with run_progress("replaying", None):
            replayed_run(recording).execute(program.function, arguments, Options(), scope)
        narration = narrated(recording, program.function, arguments, Options())
    notes = change_noted(recording, program)
    if recording.steps > STEPS_MAX:
        notes.append(f"the first {STEPS_MAX:,} of {recording.steps:,} steps; others with --no-replay")
    return narration, notes


def _recorded_steps(recording: Recording, wanted: range, marks: Marks) -> Iterator[NarratedStep]:
    """What the recording says of the wanted steps, those in the middle of very many left out."""
    from detrun.explore.failures.acted import Acted
    from detrun.explore.failures.narrated_steps import NarratedStep
    from detrun_recorder.described import event_described, wait_shown
    from detrun_scheduler.choices import ACTION_NAMES, COLLECT, FIRE

    half = STEPS_LISTED // 2
    ranges = [wanted] if len(wanted) <= STEPS_LISTED else [wanted[:half], wanted[-half:]]
    for step in chain.from_iterable(recording.iter_steps(one.start, one.stop) for one in ranges if one):
        ended = "" if step.outcome == "checkpoint" else wait_shown(step.outcome)
        before = tuple(Acted(kind, step.time) for kind in (FIRE, COLLECT) if ACTION_NAMES[kind] in step.actions)
        faults = list(dict.fromkeys(str(event.label) for event in step.events if event.kind == "fault"))
        marked = Counter(
            (kind, mark.label)
            for kind, by_step in zip(("receive", "send"), marks, strict=True)
            for mark in by_step.get(step.index, ())
        )
        did: list[str] = []
        for event in step.events:
            message = event.kind, str(event.label)
            if marked[message]:  # it is said with its other end
                marked[message] -= 1
            elif event.kind != "fault":
                did.append(event_described(event))
        narrated = NarratedStep(step.index, step.path, before=before, ended=ended, faults=faults, did=tuple(did))
        yield _with_messages(narrated, marks)
