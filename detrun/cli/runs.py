"""Shared by `record` and `replay`: the fields of a finished run, and the report of one that failed."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from detrun.ad.value import Value
from detrun.cli import failures
from detrun.cli.options import settings
from detrun.cli.page import open_page, print_document
from detrun.runs import Run
from detrun_recorder.format import MAGIC
from detrun_scheduler.errors import DivergenceError, UsageError

RESULT_CHARACTERS_MAX = 500


@contextlib.contextmanager
def program_output() -> Iterator[None]:
    """Where the program's prints go: with ``--json`` to standard error, since standard output is the document's."""
    if settings().json:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    else:
        yield


def check_output(path: str, option: str = "-o", start: bytes = MAGIC, kind: str = "a recording") -> None:
    """Refuse to write where it cannot work, or over a file that is not of ``kind``: that does not begin with ``start``.

    Checked before anything is run: a mistyped ``-o program.py`` must not cost the program.
    """
    if os.path.isdir(path):
        raise UsageError(f"cannot write {path}: it is a directory; name a file with {option}")
    parent = os.path.dirname(path) or "."
    if not os.path.isdir(parent):
        raise UsageError(
            f"cannot write {path}: there is no directory {parent}; make it, or choose another with {option}"
        )
    existing = os.path.exists(path)
    with writing(path):
        with open(path, "ab" if existing else "xb"):
            pass
        if not existing:
            os.remove(path)
        elif os.path.isfile(path) and os.path.getsize(path):
            with open(path, "rb") as file:
                begins = file.read(len(start))
            if begins != start:
                raise UsageError(f"{path} exists and is not {kind}; delete it, or choose another file with {option}")


@contextlib.contextmanager
def writing(path: str | None) -> Iterator[None]:
    """Around what writes the file at ``path``: an `OSError` there is the file's. None: nothing is written.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        if path is None:
            raise
        raise UsageError(f"cannot write {path}: {error.strerror or error}; choose another file") from error


def shown_result(value: Any) -> str:
    """A program's result in one line."""
    text = repr(value.primal if isinstance(value, Value) else value)
    return text if len(text) <= RESULT_CHARACTERS_MAX else text[: RESULT_CHARACTERS_MAX - 3] + "..."


def run_fields(run: Run) -> dict[str, Any]:
    """A run in a JSON document."""
    return {
        "result": None if run.exception is not None else run.result,
        "steps": run.steps,
        "virtual_time": run.virtual_time,
        "digest": run.digest,
    }


def run_facts(run: Run) -> dict[str, str]:
    """A run on a page."""
    facts = {} if run.exception is not None else {"result": shown_result(run.result)}
    return {
        **facts,
        "steps": f"{run.steps:,}",
        "virtual time": f"{run.virtual_time:.9g} s",
        "digest": run.digest,
    }


def conclude(
    command: str,
    run: Run,
    document: Mapping[str, Any],
    facts: Mapping[str, str],
    heading: str,
    notes: Sequence[str],
) -> None:
    """Print a finished run and end the command with its exit code."""
    error = run.exception
    if isinstance(error, DivergenceError):
        raise error
    code = failures.OK if error is None else failures.exit_code(error)
    if settings().json:
        described = None if error is None else failures.describe(error)
        print_document({"command": command, "ok": error is None, "exit_code": code, "error": described, **document})
    else:
        page = open_page()
        if error is not None:
            failures.print_failure(error, settings().debug)
            heading += ", interrupted" if code == failures.INTERRUPTED else ", which failed"
        page.heading(heading, good=error is None)
        page.facts(facts)
        for note in notes:
            page.note(note)
    click.get_current_context().exit(code)
