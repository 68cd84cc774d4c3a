"""The listing of an interleaving on a page: of a failed schedule, of a schedule token, and of a recording."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detrun.cli.page import Page
    from detrun.execution.options import Options
    from detrun.explore.failures.narration import Narration
    from detrun_recorder.recording import Recording


def print_listing(page: Page, narration: Narration, critical: int | None = None) -> None:
    """What each task ran, step by step, with the step ``critical`` pointed out."""
    from detrun.explore.failures.listing import Listing

    listing = Listing(narration, critical)
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console(highlight=False)
        console.print(listing.rich_table(console.width))
    else:
        page.text(listing.plain())


def narrated(recording: Recording, main: Any, arguments: Sequence[object], options: Options) -> Narration:
    """A recorded run step by step: its program is run once more.

    Raises:
        UsageError: the run had external effects, which would be done once more.
    """
    from detrun.explore.campaign.program import Program
    from detrun.explore.failures.narration import narrate
    from detrun_recorder.format import unpack_varints
    from detrun_scheduler.errors import UsageError

    if any(event.kind == "effect" for step in recording.iter_steps() for event in step.events):
        raise UsageError("the recorded run has external effects, which a listing would do again; leave --listing out")
    choices = unpack_varints(b"".join(chunk.choices for chunk in recording.chunks()))
    program = Program(main, arguments, options.with_recorded(recording, main))
    return narrate(program, recording.seed or 0, choices)
