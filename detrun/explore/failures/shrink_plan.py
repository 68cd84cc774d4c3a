"""Shrinking a fault plan: the fewest faults that still make a program fail, each as short as it can be.

First delta debugging (`detrun.checkers.ddmin`): all faults, halves, quarters, … are left out until no single fault can
be. Then what lasts is shortened by halves as long as the failure stays. Removal changes no other fault's draws, because
they are keyed by the faults' names, so most of what is irrelevant goes in the first few attempts.

``fails`` decides what failing means, and how a plan is tried: the same seed again, or several, or a resync replay of
the failing schedule (`fails_again`), which is what to use together with a schedule shrinker: fewest preemptions first
(with the plan fixed), then fewest faults here, then the schedule once more. ``fails`` must answer the same for the same
plan; answers are remembered, so it is asked once for each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from detrun.checkers.ddmin import ddmin
from detrun.runs import record, replay
from detrun.world.faults.kinds import LENGTHS, PlannedFault
from detrun.world.faults.plan import FaultPlan
from detrun_recorder.recording import Recording
from detrun_scheduler.errors import UsageError

HALVINGS_MAX = 10


@dataclass(frozen=True, slots=True)
class ShrunkPlan:
    """What shrinking came to.

    Attributes:
        plan: fails, and without any one of its faults does not (unless ``minimal`` is False).
        attempts: different plans tried.
        minimal: False if the attempts ran out first.
    """

    plan: FaultPlan
    attempts: int
    minimal: bool


class _OutOfAttemptsError(Exception):
    pass


def shrink_plan(fails: Callable[[FaultPlan], bool], plan: FaultPlan, *, attempts_max: int = 1000) -> ShrunkPlan:
    """The smallest plan found that still fails.

    Raises:
        UsageError: ``plan`` itself does not fail.
    """
    tried: dict[tuple[PlannedFault, ...], bool] = {}
    best = plan

    def still_fails(candidate: FaultPlan) -> bool:
        nonlocal best
        answer = tried.get(candidate.faults)
        if answer is None:
            if len(tried) >= attempts_max:
                raise _OutOfAttemptsError
            answer = tried[candidate.faults] = bool(fails(candidate))
        if answer:
            best = candidate
        return answer

    if not still_fails(plan):
        raise UsageError(f"shrink_plan: the plan of {len(plan)} faults does not fail; pass a plan that does")
    minimal = True
    try:
        ddmin(
            lambda: range(len(best)),
            lambda indices: still_fails(best.without(*indices)),
            first_size=len(plan),
            until_minimal=True,
        )
        _shorten(still_fails, best)
    except _OutOfAttemptsError:
        minimal = False
    return ShrunkPlan(best, len(tried), minimal)


def _shorten(fails: Callable[[FaultPlan], bool], plan: FaultPlan) -> None:
    for index in range(len(plan)):
        for name in LENGTHS:
            for _ in range(HALVINGS_MAX):
                length = getattr(plan[index], name, None)
                if not length:
                    break
                candidate = plan.replaced(index, **{name: length / 2})
                if not fails(candidate):
                    break
                plan = candidate


def fails_again(
    main: Callable[..., Any],
    args: Sequence[object],
    *,
    recording: Recording | None = None,
    seeds: Sequence[int] = (0,),
    same: Callable[[BaseException], bool] | None = None,
    max_steps: int | None = None,
) -> Callable[[FaultPlan], bool]:
    """A ``fails`` for `shrink_plan`: run ``main(*args)`` with the plan in place of the `FaultPlan` among the arguments.

    Args:
        recording: of the failing run: its schedule is followed as far as the smaller plan allows, before the seeds.
        seeds: of fresh runs, tried in order until one fails.
        same: whether an exception is the failure that is looked for; by default any is.

    Raises:
        UsageError: there is not exactly one `FaultPlan` among ``args``.
    """
    places = [index for index, argument in enumerate(args) if isinstance(argument, FaultPlan)]
    if len(places) != 1:
        raise UsageError(f"fails_again: {len(places)} of the program's arguments are fault plans; it takes exactly one")

    def is_failure(error: BaseException | None) -> bool:
        return error is not None and (same is None or same(error))

    def fails(plan: FaultPlan) -> bool:
        given = [plan if index == places[0] else argument for index, argument in enumerate(args)]
        if recording is not None:
            run = replay(main, *given, recording=recording, mode="resync", raise_errors=False, max_steps=max_steps)
            if is_failure(run.exception):
                return True
        return any(
            is_failure(record(main, *given, seed=seed, raise_errors=False, max_steps=max_steps).exception)
            for seed in seeds
        )

    return fails
