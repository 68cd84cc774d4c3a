"""Pictures of scenarios: the loss curve of a tuning, and the default picture of a run.

Drawn with matplotlib without pyplot, as `detrun.minimizing.picture` does: nothing global is touched.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import groupby
from typing import Any, TypeVar

from detrun.minimizing.picture import check_picture
from detrun_scenarios.frame.comparison import Tuning
from detrun_scenarios.frame.declaration import Loss
from detrun_scenarios.frame.sweeps import Sweep
from detrun_scenarios.frame.timeline import Timeline
from detrun_scheduler.errors import UsageError

Sample = TypeVar("Sample")


def new_figure(path: str | os.PathLike[str], width: float, height: float) -> Any:
    """A figure of that size, in inches, that `save` can write to ``path``.

    Raises:
        UsageError: matplotlib is not installed, has no such format, or there is no such directory.
    """
    check_picture(path)
    return import_module("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write the figure.

    Raises:
        UsageError: the file cannot be written.
    """
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}; name another file") from error


def spans(
    times: Sequence[float], samples: Sequence[Sample], look: Callable[[Sample], object] | None = None
) -> Iterator[tuple[Sample, float, float]]:
    """The stretches in which samples of these times look the same: the first of each, and from when to when."""
    at = 0
    for _, (first, *others) in groupby(samples, look):
        until = at + 1 + len(others)
        yield first, times[at], times[min(until, len(times) - 1)]
        at = until


def draw_tuning(found: Tuning, loss: Loss, path: str | os.PathLike[str]) -> None:
    """The loss over the events that each contender had spent, as it saw it, and the verdict at the right edge."""
    figure = new_figure(path, 9.0, 4.5)
    panel = figure.add_subplot()
    contenders = {f"detrun.minimize, {found.kind}": found.tuned, **found.black_box}
    for index, (name, one) in enumerate(contenders.items()):
        colour = f"C{index}"
        way = one.proposal.way
        panel.plot([at.spent for at in way], [at.loss for at in way], ".-", color=colour, alpha=0.6, label=name)
        panel.errorbar(
            [one.proposal.spent],
            [one.held_out.value],
            yerr=[one.held_out.std_error],
            fmt="s",
            color=colour,
            capsize=4,
            zorder=3,
        )
    panel.axhline(found.default.value, color="black", linewidth=1.0, linestyle="--", label="the default")
    panel.set_xlabel("simulated events (steps)")
    panel.set_ylabel(f"{loss.name} in {loss.unit}" if loss.unit else loss.name)
    panel.set_title(f"{loss.about}; squares: {len(found.held_out_seeds)} held-out seeds, ± a standard error")
    panel.grid(alpha=0.3)
    panel.legend(fontsize="small")
    save(figure, path)


def draw_run(name: str, timeline: Timeline, sweeps: Sequence[Sweep], path: str | os.PathLike[str]) -> None:
    """The default picture of a scenario: who ran when, and below it a loss along each parameter."""
    lanes = list(timeline.counts)
    columns = min(len(sweeps), 3) or 1
    rows = -(-len(sweeps) // columns)
    figure = new_figure(path, 10.0, 1.8 + 0.22 * len(lanes) + 2.4 * rows)
    grid = figure.add_gridspec(1 + rows, columns, height_ratios=[1.2 + 0.22 * len(lanes), *[2.4] * rows])
    panel = figure.add_subplot(grid[0, :])
    counts = [[math.log1p(count) for count in timeline.counts[lane]] for lane in lanes]
    panel.imshow(
        counts, aspect="auto", cmap="Blues", interpolation="nearest", extent=(0.0, timeline.end, len(lanes) - 0.5, -0.5)
    )
    panel.set_yticks(range(len(lanes)), labels=lanes, fontsize="x-small")
    for at, _ in timeline.faults:
        panel.axvline(at, color="tab:red", linewidth=0.8, alpha=0.7)
    panel.set_xlabel(timeline.unit)
    panel.set_title(f"{name}: steps of each task" + (", faults in red" if timeline.faults else ""), fontsize="medium")
    for index, one in enumerate(sweeps):
        _draw_sweep(figure.add_subplot(grid[1 + index // columns, index % columns]), one)
    save(figure, path)


def _draw_sweep(panel: Any, sweep: Sweep) -> None:
    panel.errorbar(
        sweep.at,
        [one.value for one in sweep.losses],
        yerr=[one.std_error for one in sweep.losses],
        fmt=".-",
        capsize=3,
    )
    panel.axvline(sweep.default, color="black", linewidth=1.0, linestyle="--")
    if sweep.log_scale:
        panel.set_xscale("log")
        panel.set_xticks([], minor=True)
    panel.set_xticks(shown := sweep.at[::3], labels=[f"{one:.3g}" for one in shown])
    panel.set_xlabel(sweep.parameter)
    panel.set_ylabel(sweep.loss)
    panel.grid(alpha=0.3)
