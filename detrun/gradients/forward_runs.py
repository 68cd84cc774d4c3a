"""A recorded run once more in forward mode, for what its margins say: validity after windows, flips within a distance.

Where it can be, that is in a forked process, which neither prints nor leaves anything behind in this one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from detrun.ad.moving_notes import Crossings, Flip
from detrun.ad.sites import Site
from detrun.ad.validity import Validity
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.gradients.loss import loss_of
from detrun.gradients.tangents import Tangents, validity_of
from detrun.races.watch import replayed_run
from detrun_recorder.recording import Recording
from detrun_recorder.snapshots import can_fork, in_fork, silence
from detrun_scheduler.errors import DivergenceError, NotDifferentiableError

PARAMETERS_MAX = 32  # in forward mode every operation takes time for each


def validity_by_forward_run(
    main: Main, numbers: Mapping[str, float], recording: Recording, options: Options
) -> dict[str, Validity]:
    """The validity of each parameter; empty for many parameters, or where forward mode does not pass.

    It does not pass through torch, whose first use in a fork takes seconds: not tried where torch is loaded.
    """
    if not numbers or len(numbers) > PARAMETERS_MAX or "torch" in sys.modules:
        return {}
    crossings = [Crossings() for _ in numbers]
    try:
        run_forward(main, numbers, [{name: 1.0} for name in numbers], crossings, recording, options)
    except NotDifferentiableError:
        return {}
    return {name: validity_of(one) for name, one in zip(numbers, crossings, strict=True)}


def run_forward(
    main: Main,
    numbers: Mapping[str, float],
    directions: Sequence[dict[str, float]],
    crossings: Sequence[Crossings],
    recording: Recording,
    options: Options,
) -> tuple[float, ...]:
    """Fill ``crossings`` with what the margins say of each direction; returns the slopes of the loss.

    Raises:
        NotDifferentiableError: forward mode does not pass through everything that the program does.
    """

    def run() -> list[Any]:
        scope = Tangents(dict(numbers), directions, crossings)
        try:
            finished = replayed_run(recording).execute(main, (), options, scope)
        except DivergenceError as error:
            if NotDifferentiableError.__name__ not in str(error):
                raise
            # Its task has failed, which the recorded one did not.
            raise NotDifferentiableError(f"forward mode does not pass through what the program does: {error}") from None
        loss_of(main, finished.outcome)
        return [list(scope.slopes), [_as_data(one) for one in crossings]]

    def quiet() -> list[Any]:
        silence()
        return run()

    slopes, found = in_fork(quiet) if can_fork() else run()
    for one, (down, up, passes_down, passes_up, nearest) in zip(crossings, found, strict=True):
        one.down, one.up, one.passes_down, one.passes_up = down, up, passes_down, passes_up
        one.nearest = [Flip(move, _site(*site), margin, slope) for move, site, margin, slope in nearest]
    return tuple(slopes)


def _as_data(one: Crossings) -> list[Any]:
    nearest = [
        [flip.move, [flip.site.kind, flip.site.place, flip.site.description, flip.site.count], flip.margin, flip.slope]
        for flip in one.nearest
    ]
    return [one.down, one.up, one.passes_down, one.passes_up, nearest]


def _site(kind: str, place: Sequence[Any] | None, description: str | None, count: int) -> Site:
    site = Site(kind, None if place is None else (place[0], place[1]), description)
    site.count = count
    return site
