"""Keyed draws from torch's distributions, by the rules of `detrun.primitives.draws`."""

from __future__ import annotations

from typing import Any

from detrun.ad.torch_bridge import draw_from
from detrun.primitives.draws import run_of
from detrun.primitives.laws import TorchSample


def sample(distribution: Any, *, key: object = None) -> Any:
    """A draw from a torch distribution that depends on the run's seed and on the task, or ``key``, alone.

    By ``rsample`` where the distribution has it, so that the gradient flows to its parameters, which may be Values.
    Where it has not (discrete ones), the draw is held fixed and has no local derivative.
    """
    run = run_of("sample", key)
    if run.draws is not None:
        run.draws.about_to_draw(TorchSample(distribution))
    drawn = draw_from(distribution, run.draw(key))
    return drawn if run.draws is None else run.draws.came_out(drawn)
