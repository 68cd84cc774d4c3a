"""Progress of a long run on standard error, if that is a terminal.

A run is watched from a thread beside it that reads the active run's step count a few times a second: the run itself
pays nothing and cannot notice, since it keeps its clock and its generators to its own thread. Nothing appears in the
first second, so that short runs stay quiet, and nothing remains when it is over.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from detrun_scheduler import current
from detrun_scheduler.visible import visible_line

if TYPE_CHECKING:
    from rich.progress import Progress

    from detrun.gradients.sampling.collector import SoFar
    from detrun.minimizing.iteration import Iteration

QUIET_SECONDS = 1.0
REFRESH_SECONDS = 0.25
PARAMS_SHOWN = 4


@contextmanager
def run_progress(what: str, total: int | None = None) -> Iterator[None]:
    """Show the steps of whatever run is active inside the block, as a share of ``total`` if it is known."""

    def done() -> int | None:
        run = current.run
        return None if run is None else run.step_index

    with _watching(what, done, total):
        yield


@contextmanager
def count_progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a count that the block reports by calling what it is given."""
    count = 0

    def report(done: int) -> None:
        nonlocal count
        count = done

    with _watching(what, lambda: count, total):
        yield report


@contextmanager
def drawn_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """What to tell how many of how many are done. It is drawn between them, without a thread, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    with closing(CountShown(what)) as shown:
        yield shown


@contextmanager
def minimizing_progress(iterations: int) -> Iterator[Callable[[Iteration], None] | None]:
    """What to give `minimize` as ``progress``; None off a terminal. It is drawn between gradients, without a thread."""
    if not sys.stderr.isatty():
        yield None
        return
    with closing(IterationsShown(iterations)) as shown:
        yield shown


@contextmanager
def sampling_progress() -> Iterator[Callable[[SoFar], None] | None]:
    """What to give `gradient` as ``progress``: shows the samples taken, and how precise they are; None off a terminal.

    It is drawn between samples and starts no thread, since workers are forked meanwhile.
    """
    if not sys.stderr.isatty():
        yield None
        return
    with closing(SamplesShown()) as shown:
        yield shown


class _Drawn:
    """A bar with words, drawn some times a second by those who call it and never by a thread."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.started = time.monotonic()
        self.drawn = self.started
        self.progress: Progress | None = None

    def is_due(self) -> bool:
        """Whether to draw now."""
        now = time.monotonic()
        if now - self.started < QUIET_SECONDS or now - self.drawn < REFRESH_SECONDS:
            return False
        self.drawn = now
        return True

    def draw(self, completed: int, total: int, said: str) -> None:
        """Show ``completed`` of ``total``, and what is said of it."""
        if self.progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn(self.what), BarColumn(bar_width=24), TextColumn("{task.fields[said]}", markup=False))
            self.progress = Progress(
                *columns,
                console=Console(stderr=True),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self.progress.add_task(self.what, total=total, said="")
            self.progress.start()
        self.progress.update(self.progress.tasks[0].id, completed=completed, total=total, said=said)
        self.progress.refresh()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self.progress is not None:
            self.progress.stop()


class CountShown(_Drawn):
    """Draws a count. Call it with how many are done, of how many."""

    def __call__(self, done: int, total: int) -> None:
        """Draw, some times a second."""
        if self.is_due():
            self.draw(done, total, f"{done:,} of {total:,}")


class SamplesShown(_Drawn):
    """Draws what is known of samples. Call it with that."""

    def __init__(self) -> None:
        super().__init__("sampling")

    def __call__(self, so_far: SoFar) -> None:
        """Draw, some times a second."""
        if not self.is_due():
            return
        said = f"{so_far.samples:,} samples, {so_far.samples / (self.drawn - self.started):,.0f}/s"
        if so_far.target_error is not None and so_far.relative_error is not None:
            said += f", known to {so_far.relative_error:.1%} of {so_far.target_error:.1%}"
        self.draw(so_far.samples, so_far.samples_max, said)


class IterationsShown(_Drawn):
    """Draws each iteration of a minimization: its loss and its parameters. Call it with that."""

    def __init__(self, iterations: int) -> None:
        super().__init__("minimizing")
        self.iterations = iterations

    def __call__(self, now: Iteration) -> None:
        """Draw, some times a second."""
        if self.is_due():
            params = ", ".join(f"{name} {number:.4g}" for name, number in list(now.params.items())[:PARAMS_SHOWN])
            more = len(now.params) - PARAMS_SHOWN
            loss = f"loss {now.value:.4g} ± {now.value_std_error:.2g}"
            said = f"{now.number:,} of {self.iterations:,}, {loss}, {params}" + (
                f" and {more} more" if more > 0 else ""
            )
            self.draw(now.number, self.iterations, visible_line(said))


@contextmanager
def _watching(what: str, done: Callable[[], int | None], total: int | None) -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(what, done, total, over), name="detrun progress", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _watch(what: str, done: Callable[[], int | None], total: int | None, over: threading.Event) -> None:
    started = time.monotonic()
    if over.wait(QUIET_SECONDS):
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = [TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} steps")]
    if total:
        columns += [BarColumn(bar_width=24), TaskProgressColumn()]  # type: ignore[list-item]
    columns.append(TimeElapsedColumn())  # type: ignore[arg-type]
    # auto_refresh would start a thread of its own; what the program prints is its own business: nothing is redirected.
    progress = Progress(
        *columns,
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        get_time=time.monotonic,
    )
    with progress:
        task = progress.add_task(what, total=total)
        progress.tasks[0].start_time = started
        while not over.wait(REFRESH_SECONDS):
            progress.update(task, completed=done() or 0)
            progress.refresh()
