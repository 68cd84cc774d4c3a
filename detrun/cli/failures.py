"""Exceptions as the command line reports them, and the exit code that each ends with.

An error of detrun's own is its message: one line, or a report of several (a deadlock, a divergence). An exception of
the program is a traceback of the program's lines alone, since the dozens of trio's and detrun's frames between them
say nothing about it; ``--debug`` shows everything.
"""

from __future__ import annotations

import traceback
from typing import Any

import click
import trio

from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.errors import (
    DeadlockError,
    DetrunError,
    DivergenceError,
    NondeterminismError,
    RecordingFormatError,
    StalledError,
    StepLimitError,
    UsageError,
    text_of,
)
from detrun_scheduler.user_code import is_user_file
from detrun_scheduler.visible import visible

OK, PROGRAM_FAILED, USAGE, DIFFERENT, BAD_RECORDING, STUCK, UNDECIDED = range(7)
INTERNAL, INTERRUPTED = 70, 130

_CODES: tuple[tuple[tuple[type[BaseException], ...], int], ...] = (
    ((KeyboardInterrupt,), INTERRUPTED),
    ((UsageError,), USAGE),
    ((DivergenceError, NondeterminismError), DIFFERENT),
    ((RecordingFormatError,), BAD_RECORDING),
    ((DeadlockError, StepLimitError), STUCK),
    ((StalledError,), UNDECIDED),
    ((trio.TrioInternalError,), INTERNAL),
)


def essence(error: BaseException) -> BaseException:
    """What an exception is about: Ctrl-C wherever it is, the one member of groups of one, else the exception itself."""
    leaves = exception_leaves(error)
    for leaf in leaves:
        if isinstance(leaf, KeyboardInterrupt):
            return leaf
    # Of a group with several members no single one may speak for the rest, unless all say the same.
    if len({(type(leaf), str(leaf)) for leaf in leaves}) == 1 and isinstance(leaves[0], DetrunError):
        return leaves[0]
    return leaves[0] if len(leaves) == 1 else error


def exit_code(error: BaseException) -> int:
    """The documented exit code of an exception."""
    subject = essence(error)
    return next((code for kinds, code in _CODES if isinstance(subject, kinds)), PROGRAM_FAILED)


def exit_code_escaped(error: BaseException) -> int:
    """The exit code of an exception that no run has handed over: if no line of the program raised it, it is our own."""
    code = exit_code(error)
    if code == PROGRAM_FAILED and not isinstance(essence(error), DetrunError):
        whole = traceback.TracebackException.from_exception(error)
        return code if _keep_user_frames(whole) else INTERNAL
    return code


def message(error: BaseException) -> str:
    """What to say: an error of detrun's own in its words, any other as a traceback of the program's own lines."""
    subject = essence(error)
    if isinstance(subject, KeyboardInterrupt):
        return "interrupted"
    if isinstance(subject, DetrunError):
        return str(subject) or type(subject).__name__
    return user_traceback(error)


def describe(error: BaseException) -> dict[str, Any]:
    """An exception in a JSON document."""
    subject = essence(error)
    is_own = isinstance(subject, DetrunError | KeyboardInterrupt)
    return {
        "type": type(subject).__name__,
        "message": message(error) if is_own else text_of(subject),
        "traceback": None if is_own else user_traceback(error),
    }


def user_traceback(error: BaseException) -> str:
    """The traceback without the frames of detrun, trio and the standard library."""
    whole = traceback.TracebackException.from_exception(error)
    if not _keep_user_frames(whole) and not isinstance(error, BaseExceptionGroup):
        return "".join(traceback.format_exception_only(error)).rstrip()
    return "".join(whole.format()).rstrip()


def _keep_user_frames(shown: traceback.TracebackException) -> int:
    """Drop frames in place, in causes and members of groups, too; the number of frames that are left."""
    kept = [frame for frame in shown.stack if is_user_file(frame.filename)]
    shown.stack = traceback.StackSummary.from_list(kept)
    count = len(kept)
    for other in (shown.__cause__, shown.__context__, *(shown.exceptions or ())):
        if other is not None:
            count += _keep_user_frames(other)
    return count


def print_failure(error: BaseException, debug: bool, heading: str | None = None) -> None:
    """Say on standard error what failed."""
    if debug:
        click.echo(visible("".join(traceback.format_exception(error)).rstrip()), err=True)
    subject = essence(error)
    text = visible(message(error))
    if heading is None and isinstance(subject, DetrunError | KeyboardInterrupt):
        heading = "error" if isinstance(subject, UsageError) else type(subject).__name__
        if isinstance(subject, KeyboardInterrupt):
            click.echo(click.style("interrupted", fg="red", bold=True), err=True)
            return
        click.echo(f"{click.style(heading, fg='red', bold=True)}: {text}", err=True)
        return
    if not debug:
        click.echo(text, err=True)
