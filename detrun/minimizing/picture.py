"""A picture of a minimization: the loss with its errors, and each parameter, over the iterations.

It is drawn with matplotlib, an optional extra. Figures are made without pyplot, so nothing global is touched: no
window opens, and the program's own figures stay as they are.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from detrun.minimizing.iteration import Iteration, Look
from detrun_scheduler.errors import UsageError
from detrun_scheduler.visible import visible_line

PANELS_MAX = 24  # of parameters
COLUMNS = 3
LOG_RATIO = 30.0  # a positive parameter that changes by more than this factor has a logarithmic axis
SAMPLED, HELD_OUT, BEST = "tab:blue", "tab:orange", "tab:green"


def check_picture(path: str | os.PathLike[str]) -> None:
    """Whether a picture can be drawn there, for those who would learn it late.

    Raises:
        UsageError: matplotlib is not installed, has no such format, or there is no such directory.
    """
    try:
        bases: Any = import_module("matplotlib.backend_bases")
    except ImportError:
        raise UsageError(
            "a picture needs matplotlib, which is not installed; install it with: pip install 'detrun[plots]'"
        ) from None
    formats = bases.FigureCanvasBase.get_supported_filetypes()
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in formats:
        raise UsageError(f"{path}: no format of a picture is called {suffix!r}; name a file as minimum.png")
    if not Path(path).parent.is_dir():
        raise UsageError(f"{path}: there is no directory {Path(path).parent}; make it, or name another file")


def draw(
    path: str | os.PathLike[str],
    history: Sequence[Iteration],
    looks: Sequence[Look],
    best: Mapping[str, float],
    kind: str,
) -> None:
    """Draw a minimization into a file.

    Args:
        history, looks: in order.
        best: the parameters that it found.
        kind: of the gradients.

    Raises:
        UsageError: as `check_picture`, or the file cannot be written.
    """
    check_picture(path)
    names = list(best)[:PANELS_MAX]
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = import_module("matplotlib.figure").Figure(figsize=(9.0, 3.6 + 2.2 * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, columns, height_ratios=[1.7, *[1.0] * rows])
    _draw_loss(figure.add_subplot(grid[0, :]), history, looks, best, kind)
    for at, name in enumerate(names):
        _draw_parameter(figure.add_subplot(grid[1 + at // columns, at % columns]), history, looks, name, best[name])
    if len(best) > len(names):
        figure.supxlabel(f"the first {len(names)} of {len(best):,} parameters", fontsize="small")
    try:
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}; name another file") from error


def _draw_loss(
    panel: Any, history: Sequence[Iteration], looks: Sequence[Look], best: Mapping[str, float], kind: str
) -> None:
    """The losses of the gradients' samples, a look at held-out seeds wherever there was one, and which was best."""
    numbers = [one.number for one in history]
    panel.plot(numbers, [one.value for one in history], color=SAMPLED, label="samples of the gradient")
    # Of a single run the error is unknown.
    errors = [0.0 if math.isnan(one.value_std_error) else one.value_std_error for one in history]
    panel.fill_between(
        numbers,
        [one.value - error for one, error in zip(history, errors, strict=True)],
        [one.value + error for one, error in zip(history, errors, strict=True)],
        color=SAMPLED,
        alpha=0.2,
        linewidth=0.0,
    )
    panel.errorbar(
        [_place(one) for one in looks],
        [one.value for one in looks],
        yerr=[one.std_error for one in looks],
        color=HELD_OUT,
        fmt="o",
        markersize=4,
        capsize=3,
        label="held-out seeds",
    )
    found = next(one for one in looks if one.params == best)
    panel.plot([_place(found)], [found.value], "*", color=BEST, markersize=13, zorder=3, label="best")
    panel.set_title(f"loss by {kind} gradients, ± one standard error", fontsize="medium")
    panel.set_xlabel("iteration")
    panel.grid(alpha=0.3)
    panel.legend(fontsize="small")


def _draw_parameter(panel: Any, history: Sequence[Iteration], looks: Sequence[Look], name: str, best: float) -> None:
    """One parameter: where the gradients were taken, and where the loss was looked at last."""
    places = {one.number: one.params[name] for one in history}
    for one in looks:
        places.setdefault(_place(one), one.params[name])
    panel.plot(list(places), list(places.values()), color=SAMPLED)
    panel.axhline(best, color=BEST, linewidth=1.0, linestyle="--")
    least, most = min(places.values()), max(places.values())
    if least > 0.0 and most / least > LOG_RATIO:
        panel.set_yscale("log")
    # A name is shown as it is written, with its dollar signs.
    panel.set_title(visible_line(name), fontsize="medium", parse_math=False)
    panel.grid(alpha=0.3)


def _place(look: Look) -> int:
    """Where a look stands: at the iteration whose gradient is taken at the same parameters."""
    return look.after + 1
