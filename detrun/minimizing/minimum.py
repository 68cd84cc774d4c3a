"""`Minimum`: the best parameters that a minimization found, and how it came to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detrun.minimizing.iteration import Iteration, Look
from detrun.minimizing.picture import draw


@dataclass(slots=True)
class Minimum:
    """The result of `detrun.minimize`.

    Attributes:
        params: the best parameters, by the loss over held-out seeds.
        value, std_error: that loss, and its standard error.
        start: the same at the parameters that were given.
        gain, gain_std_error: by how much the loss fell on the held-out seeds; the same seeds before and after, so this
            is known better than either.
        kind: of the gradients.
        reason: why it ended, in a sentence.
        history: every iteration.
        looks: every look at held-out seeds, the first of them at the start.
        runs, steps: that it took, those included that a checkpoint spared.
        warnings: of the gradients, each once.
    """

    params: dict[str, float]
    value: float
    std_error: float
    start: float
    gain: float
    gain_std_error: float
    kind: str
    reason: str
    history: Sequence[Iteration]
    looks: Sequence[Look]
    runs: int
    steps: int
    warnings: list[str] = field(default_factory=list)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the loss and the parameters over the iterations, in the format that the path ends with, say ``.png``.

        Raises:
            UsageError: matplotlib is not installed (``pip install 'detrun[plots]'``), or the path cannot be written.
        """
        draw(path, self.history, self.looks, self.params, self.kind)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the same, with errors, as one HTML file that needs no network; where it is.

        Raises:
            OSError: the file cannot be written.
        """
        from detrun.minimizing.page import minimum_page
        from detrun.pages.page import write_page

        return write_page(path, minimum_page(self))

    def __str__(self) -> str:
        lines = [
            f"a loss of {self.value:.6g} ± {self.std_error:.2g} on held-out seeds, {self.gain:.3g} ± "
            f"{self.gain_std_error:.2g} less than at the start"
        ]
        first = self.history[0].params if self.history else self.params
        width = max(map(len, self.params))
        lines += [f"  {name:<{width}}  {first[name]:.6g} -> {number:.6g}" for name, number in self.params.items()]
        lines.append(
            f"  {len(self.history):,} iterations with {self.kind} gradients, {self.runs:,} runs, {self.steps:,} steps; "
            f"{self.reason}"
        )
        lines += [f"  warning: {one}" for one in self.warnings]
        return "\n".join(lines)
