"""``detrun report``: a recording as one HTML file."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from detrun.cli.options import settings, speaking

if TYPE_CHECKING:
    from detrun.reports.report import Told
    from detrun_recorder.recording import Recording

START = "<!doctype html>"


@click.command(short_help="Write a recording as an HTML file: who ran when, what waited, why it failed.")
@click.argument("file", metavar="FILE", type=click.Path())
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(), help="The HTML file; FILE with .html for its end by default."
)
@click.option(
    "--steps", metavar="FIRST:LAST", help="Steps to show, LAST not included; either may be left out. Default: all."
)
@click.option("--target", metavar="TARGET", help="The program; the recording names it by default.")
@click.option("--no-replay", is_flag=True, help="Run nothing; show what the recording says.")
@speaking
def report(file: str, output: str | None, steps: str | None, target: str | None, no_replay: bool) -> None:
    """Write recording FILE as one HTML file that needs no network.

    It has a space-time diagram, the steps with the lines that they ran, and of a run that failed the schedule turn by
    turn with the values of its variables, beside the nearest schedule that passes. For that the program is run again,
    as `detrun replay` does, and after a failure up to ten seconds long under other schedules: do so only with
    recordings, and in directories, that you trust. With --no-replay nothing is run.
    """
    from detrun.cli import runs
    from detrun.cli.page import open_page, print_document
    from detrun.pages.page import write_page
    from detrun.reports.report import run_page
    from detrun_recorder.recording import open_recording

    recording = open_recording(file)
    wanted = None if steps is None else _range(steps, recording.steps)
    path = output if output is not None else f"{file.removesuffix('.detrun')}.html"
    check_page(path)
    told = _told(recording, file, target, not no_replay, wanted)
    text = run_page(recording, told, wanted)
    with runs.writing(path):
        write_page(path, text)
    if settings().json:
        print_document(
            {
                "command": "report",
                "ok": True,
                "exit_code": 0,
                "error": None,
                "recording": file,
                "report": path,
                "bytes": len(text.encode()),
                "steps": recording.steps if wanted is None else len(wanted),
                "notes": told.notes,
            }
        )
        return
    page = open_page()
    page.heading(f"wrote {path}: {len(text.encode()):,} bytes; open it in a browser")
    for note in told.notes:
        page.note(note)


def check_page(path: str, option: str = "-o") -> None:
    """Refuse to write a page where it cannot work, or over a file that is none."""
    from detrun.cli import runs

    runs.check_output(path, option, START.encode(), "an HTML page")


def _range(text: str, steps: int) -> range:
    from detrun_scheduler.errors import UsageError

    first, colon, last = text.partition(":")
    try:
        found = range(int(first or 0), min(int(last), steps) if last else steps)
    except ValueError:
        colon = ""
    if not colon or found.start < 0 or not found:
        raise UsageError(f"--steps {text}: give FIRST:LAST, of steps 0 to {steps:,}, LAST not included")
    return found


def _told(recording: Recording, file: str, target: str | None, replays: bool, steps: range | None) -> Told:
    """What the program says, or why it says nothing."""
    from detrun.cli import runs
    from detrun.cli.programs import change_noted, program_of
    from detrun.cli.progress import run_progress
    from detrun.execution.options import Options
    from detrun.reports.explained import explained, why_unexplained
    from detrun.reports.report import Told, told_by_program
    from detrun_scheduler.errors import DivergenceError, HiddenStateError, UsageError

    if not replays:
        return Told(notes=["without lines of code: the program was not run again (--no-replay)"])
    again = f"detrun replay {shlex.quote(file)}"
    try:
        program, arguments = program_of(recording, file, target, {})
        with runs.program_output(), run_progress("replaying", None):
            explanation = explained(recording, program.function, arguments, Options())
            told = told_by_program(recording, program.function, arguments, Options(), again, explanation, steps)
    except (UsageError, DivergenceError, HiddenStateError) as error:
        reason = str(error).partition("\n")[0]
        return Told(notes=[f"without lines of code: the program cannot be run again ({reason})"])
    told.notes += change_noted(recording, program)
    if told.failure is not None and not told.failure.passing:
        why = why_unexplained(recording) or "none was found"
        told.notes.append(f"without a schedule that passes: {why}")
    told.facts["again"] = again
    return told
