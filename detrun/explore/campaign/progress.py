"""Progress of a campaign on standard error, if that is a terminal: schedules, their rate, and their coverage.

It is drawn between schedules from the campaign's own reports, so a run does not pay for it and cannot notice it.
Nothing appears in the first half second, so that short campaigns stay quiet, and nothing remains when it is over.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from detrun.explore.campaign.pieces import Report

if TYPE_CHECKING:
    from rich.progress import Progress

QUIET_SECONDS = 0.5


class CampaignProgress:
    """Draws reports. Call it with one."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.started = time.monotonic()
        self.shown: Progress | None = None

    def __call__(self, report: Report) -> None:
        """Draw what is known so far."""
        elapsed = time.monotonic() - self.started
        if self.shown is None:
            if elapsed < QUIET_SECONDS:
                return
            self.shown = self._open()
        self.shown.update(self.shown.tasks[0].id, completed=report.schedules, said=said(report, elapsed))
        self.shown.refresh()

    def _open(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        shown = Progress(
            TextColumn("exploring"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[said]}"),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        shown.add_task("exploring", total=self.total, said="")
        shown.start()
        return shown

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.shown is not None:
            self.shown.stop()


def said(report: Report, elapsed: float) -> str:
    """A report in a line."""
    rate = report.schedules / elapsed if elapsed > 0 else 0.0
    coverage = report.coverage
    return (
        f"{report.schedules:,} schedules, {rate:,.0f}/s, {coverage.distinct:,} orders of steps, "
        f"{coverage.unseen:.0%} chance of a new one"
    )


@contextmanager
def campaign_progress(total: int) -> Iterator[Callable[[Report], None] | None]:
    """What to give `explore` as ``progress``; None where standard error is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    progress = CampaignProgress(total)
    try:
        yield progress
    finally:
        progress.close()
