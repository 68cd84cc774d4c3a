"""The program of a recording and its arguments, for the commands that run a recording again."""

from __future__ import annotations

import shlex
from typing import Any

from detrun.cli import parameters
from detrun.execution.known_differences import is_of_pytest
from detrun.execution.program import source_fingerprint
from detrun.execution.targets import Target, load_target
from detrun_recorder.recording import Recording
from detrun_scheduler.errors import UsageError


def program_of(
    recording: Recording, file: str, target: str | None, given: dict[str, float]
) -> tuple[Target, tuple[Any, ...]]:
    """The program and its arguments: those that the recording names, unless given.

    Raises:
        UsageError: the recording names no program, or there is none of that name.
    """
    named = target if target is not None else recording.target
    if named is None:
        raise UsageError(f"{file} does not say which program it is of; name it with --target")
    refuse_test(named, file)
    try:
        program = load_target(named)
    except UsageError as error:
        if target is not None:
            raise
        raise UsageError(f"{error}; {file} names this program, --target names another") from error
    arguments = parameters.recorded_arguments(recording, given)
    if arguments is None:
        numbers = parameters.for_call(program, given)
        return program, (numbers,) if numbers else ()
    if given:
        parameters.for_call(program, given)
    return program, tuple(arguments)


def refuse_test(target: str, file: str) -> None:
    """Raise `UsageError` for a test of pytest, which only pytest can run, with the command that does."""
    if is_of_pytest(target):
        raise UsageError(
            f"{file} is of a test of pytest; to run it again: "
            f"pytest {shlex.quote(target)} --detrun-replay {shlex.quote(file)}"
        )


def change_noted(recording: Recording, program: Target) -> list[str]:
    """A note where the program's source is another than when it was recorded."""
    if recording.header.get("source") in (None, source_fingerprint(program.function)):
        return []
    return [f"{program.text} has changed since it was recorded: its lines are shown as they stand now"]
