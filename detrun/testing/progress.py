"""Progress of a marked test on pytest's terminal, behind the dots: how many schedules, how fast, how much is new.

Shown only where pytest writes to a terminal, from the second second of a test on. It is drawn between schedules, from
the campaign's own reports, at the cursor, which is put back; so pytest's own line stays as it is, and nothing remains
when the test is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest

from detrun.explore.campaign.pieces import Report
from detrun.explore.campaign.progress import said

QUIET_SECONDS = 1.0
SAVE_CURSOR, RESTORE_CURSOR, ERASE_TO_END = "\x1b7", "\x1b8", "\x1b[K"


@contextmanager
def progress_of_test(config: pytest.Config) -> Iterator[Callable[[Report], None] | None]:
    """What to give `explore` as ``progress``; None where there is no terminal."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not getattr(reporter, "isatty", False) or config.option.verbose < 0:
        yield None
        return
    writer = config.get_terminal_writer()
    capturing = config.pluginmanager.get_plugin("capturemanager")

    def put(text: str) -> None:
        # What a test prints is captured at the file descriptor, which the terminal's writer uses, too.
        with capturing.global_and_fixture_disabled() if capturing is not None else nullcontext():
            writer.write_raw(text, flush=True)

    started = time.monotonic()
    shown = False

    def draw(report: Report) -> None:
        nonlocal shown
        elapsed = time.monotonic() - started
        room = writer.fullwidth - writer.width_of_current_line - 2
        if elapsed < QUIET_SECONDS or room < 1:
            return
        shown = True
        text = f" {said(report, elapsed)}"[:room]
        put(f"{SAVE_CURSOR}{text}{ERASE_TO_END}{RESTORE_CURSOR}")

    try:
        yield draw
    finally:
        if shown:
            put(ERASE_TO_END)
