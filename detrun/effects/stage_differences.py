"""Difference quotients of one function inside a run: it is called again at moved numbers, with the draws it has had.

For each number ``x`` that goes in, the function runs at ``x ± h`` and ``x ± 2h``. The derivative is the central
difference ``D(h)``; its error is estimated by Richardson's ``(D(2h) - D(h)) / 3``, which is right to order h⁴ for
smooth functions, and for others shows in the mean how much the step still matters.

The calls happen beside the run: they write nothing down and advance no stream of draws. So the function may compute and
draw, and nothing else; it is called once more at the same numbers, which shows whether it keeps a state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from detrun_scheduler import current
from detrun_scheduler.errors import UsageError
from detrun_scheduler.randomness import draw_bits, stream_key


class DrawsAgain:
    """Stands for the run while a function is called again: it gives the same draws, and refuses everything else."""

    draws = None
    is_standing_in = True

    def __init__(self, name: str, run: Any) -> None:
        self._name, self._run = name, run
        self._begun = {key: index for key, (_, index) in run.streams.items()}
        self._made: dict[Any, int] = {}

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """For the length of one call."""
        self._made = {}
        current.run = self
        try:
            yield
        finally:
            current.run = self._run

    def fail(self, error: BaseException) -> None:
        """See `ActiveRun.fail`."""
        self._run.fail(error)

    def draw(self, key: object = None) -> int:
        """The bits that the first call had at this place; see `ActiveRun.draw`."""
        name = self._run.current if key is None else repr(key)
        label = f"task {self._run.paths.get(self._run.current, '')}" if key is None else f"key {key!r}"
        made = self._made.get(name, 0)
        self._made[name] = made + 1
        return draw_bits(stream_key(self._run.seed, label), self._begun.get(name, 0) + made)

    def __getattr__(self, name: str) -> Any:
        error = UsageError(
            f"stage {self._name} is differentiated by differences, so it is called again at moved numbers, and may "
            f"only compute and draw; it asked the run for {name!r}. Take that out of the stage, or declare another "
            "derivative"
        )
        self.fail(error)  # whatever the function makes of it
        raise error


def jacobian(
    evaluate: Callable[[Sequence[float]], list[float]], at: Sequence[float], step: float
) -> tuple[list[list[float]], list[list[float]], list[tuple[list[float], list[float]]]]:
    """Difference quotients, and their estimated errors: for each number that comes out a row, by number that goes in.

    The third part has, by number that goes in, what comes out just above and just below.

    Cost: four calls of ``evaluate`` for each number of ``at``.
    """
    columns, errors, sides = [], [], []
    for place in range(len(at)):
        quotients = []
        for width in (step, 2.0 * step):
            above, below = (evaluate([x + side * (i == place) for i, x in enumerate(at)]) for side in (width, -width))
            if width == step:
                sides.append((above, below))
            quotients.append([(up - down) / (2.0 * width) for up, down in zip(above, below, strict=True)])
        columns.append(quotients[0])
        errors.append([(wide - near) / 3.0 for near, wide in zip(*quotients, strict=True)])
    rows = [list(row) for row in zip(*columns, strict=True)]
    return rows, [list(row) for row in zip(*errors, strict=True)], sides
