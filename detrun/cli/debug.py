"""``detrun debug``: a recorded run, held between two steps and taken forth and back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from detrun.cli.options import settings, speaking

if TYPE_CHECKING:
    from detrun.execution.program import Main
    from detrun.inspection.raised import Raised
    from detrun_recorder.recording import Recording


@click.command(short_help="Go through a recorded run step by step, forth and back.")
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("--at", "place", metavar="TIME|#STEP", help="Begin at this virtual time, or after so many steps.")
@click.option("--target", metavar="TARGET", help="The program; the recording names it by default.")
@click.option(
    "-c",
    "--command",
    "commands",
    multiple=True,
    metavar="COMMAND",
    help="Run this at the prompt, and leave at the end.",
)
@speaking
def debug(file: str, place: str | None, target: str | None, commands: tuple[str, ...]) -> None:
    """Hold the run of recording FILE between two steps, and take it to any other.

    The program is run again up to there, as `detrun replay` does: do so only with recordings, and in directories, that
    you trust. A run that failed is held before the step in which its error was raised. `help` lists the commands of the
    prompt; they may come from a pipe or a file, too.
    """
    from detrun.cli.debugger import Debugger
    from detrun.cli.moment import place_of
    from detrun.cli.programs import program_of
    from detrun.inspection.kept_moments import KeptMoments, in_chain, is_possible
    from detrun.inspection.time_travel import Traveller
    from detrun_recorder.recording import open_recording
    from detrun_scheduler.errors import UsageError

    if settings().json:
        raise UsageError("debug is a conversation; detrun show --at gives a moment as JSON")
    recording = open_recording(file)
    step, time = (None, None) if place is None else place_of(place)
    program, arguments = program_of(recording, file, target, {})
    debugger = Debugger(recording, _raised(recording, program.function, arguments))
    keeps = is_possible()
    debugger.traveller = Traveller(
        program.function, arguments, recording, kept=KeptMoments(debugger) if keeps else None
    )
    if time is not None:
        begins = f"goto {time!r}s"
    elif step is not None:
        begins = f"goto {step}"
    else:
        begins = "failure" if recording.end is not None and recording.end.outcome != "ok" else "goto 0"
    given, is_asked = list(commands), not commands and sys.stdin.isatty()
    if not commands and not is_asked:
        # All at once: a process that takes over has not read what another one has from the buffer of its input.
        lines = (line.strip() for line in sys.stdin.read().splitlines())
        given = [line for line in lines if line and not line.startswith("#")]
    if keeps:
        in_chain(lambda: debugger.session(begins, given, is_asked=is_asked))
    else:
        debugger.session(begins, given, is_asked=is_asked)


def _raised(recording: Recording, main: Main, arguments: Sequence[object]) -> Raised | None:
    """What failed the run; None where the program does not make it again, which the debugger is about to say."""
    from detrun.execution.options import Options
    from detrun.inspection.raised import raised_in
    from detrun_scheduler.errors import DetrunError

    try:
        return raised_in(recording, main, arguments, Options())
    except DetrunError:
        return None
