"""A scenario tuned from its defaults by following gradients, beside black boxes at the same number of simulated events.

The unit of the budget is the step: of every run that a contender makes, with Values or without. Ctrl-C stops
the contender at work and leaves out those after it; all that was proposed by then is judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from detrun.execution.interruption import Interruption
from detrun_scenarios.frame.declaration import Kind
from detrun_scenarios.frame.derivatives import meanings_for
from detrun_scenarios.frame.scenario_program import ScenarioProgram
from detrun_scenarios.frame.tuning import (
    BLACK_BOXES,
    VERDICT,
    Mean,
    Problem,
    Proposal,
    by_minimize,
    mean_of,
    plain_runs,
    verdicts,
)
from detrun_scheduler.errors import UsageError

SAMPLES = 8  # of a gradient at most, unless the loss says so
SAMPLES_MIN = 2
GRADIENTS = 40  # that a budget should last for: many rough steps get further than few exact ones
HELD_OUT_SHARE = 40  # a look of `detrun.minimize` at its own held-out seeds takes this part of the budget
HELD_OUT_MIN, HELD_OUT_MAX = 8, 100
RATE = 0.2
OF_SAMPLES = ("samples", "step")  # of a meaning, for its gradient alone


@dataclass(frozen=True, slots=True)
class Contender:
    """One that tuned.

    Attributes:
        held_out: its loss on the held-out seeds.
        gain: by how much that is less than at the defaults, seed by seed.
    """

    proposal: Proposal
    held_out: Mean
    gain: Mean


@dataclass(frozen=True, slots=True)
class Tuning:
    """The comparison.

    Attributes:
        kind: of the gradients that were followed.
        default: the loss at the start, on the held-out seeds.
        tuned: by `detrun.minimize`.
        black_box: the others, by name.
        left_out: why a black box is not among them, by name.
        held_out_seeds: of the verdict.
        interrupted: whether Ctrl-C ended it before the budget was spent.
    """

    loss: str
    kind: Kind
    start: Mapping[str, float]
    default: Mean
    tuned: Contender
    black_box: dict[str, Contender]
    left_out: dict[str, str]
    held_out_seeds: list[int]
    interrupted: bool = False


def posed(
    program: ScenarioProgram, params: Mapping[str, float], kind: Kind | None, budget: int, by: Collection[str] = ()
) -> tuple[Problem, Kind, dict[str, Any]]:
    """What is to be tuned, the kind of gradients that is followed, and the options of `detrun.minimize`.

    The arguments, and what is raised, are those of `tune`.
    """
    scenario = program.scenario
    assert program.setting.loss is not None
    loss = scenario.loss(program.setting.loss)
    if not loss.parameters:
        raise UsageError(f"scenario {scenario.name}: no parameter moves {loss.name}, so there is nothing to tune")
    meanings = meanings_for(loss, kind, by)
    wanted = {name: scenario.parameter(name) for name in tuple(by) or loss.parameters}
    start = {name: params[name] for name in wanted}
    fixed = {name: number for name, number in params.items() if name not in start}
    problem = Problem(
        partial(_called, program, fixed),
        start,
        {name: one.bounds for name, one in wanted.items()},
        [name for name, one in wanted.items() if one.log_scale],
    )
    followed = meanings[0].kind
    options = _minimize_options(problem, followed, budget, loss.tune_options, _options_of(program, followed))
    return problem, followed, options


def tune(
    program: ScenarioProgram,
    params: Mapping[str, float],
    kind: Kind | None,
    budget: int,
    seed: int,
    held_out: int,
    say: Callable[[str], None] = lambda who: None,
    by: Collection[str] = (),
) -> Tuning:
    """Tune parameters that move the program's loss; the others stay.

    Args:
        params: all of the scenario's; where all contenders begin.
        kind: of the gradients; None for the first that the loss declares.
        budget: of each contender, in steps.
        held_out: seeds of the verdict.
        say: told who tunes now.
        by: the parameters to tune; empty for all that move the loss.

    Raises:
        UsageError: no parameter moves the loss, none that is wanted does, or the budget is less than one run of each
            takes.
    """
    problem, followed, options = posed(program, params, kind, budget, by)
    assert program.setting.loss is not None
    start = problem.start
    proposals: dict[str, Proposal] = {}
    left_out = {}
    with Interruption() as interruption:

        def stop() -> bool:
            return interruption.requested

        say(f"detrun.minimize, {followed}")
        tuned = by_minimize(problem, budget, seed, stop, kind=followed, **options)
        for name, (_, search) in BLACK_BOXES.items():
            if stop():
                left_out[name] = "interrupted before its turn"
                continue
            say(name)
            try:
                proposals[name] = search(problem, budget, seed, stop)
            except UsageError as error:
                left_out[name] = str(error)
        say(
            "held-out seeds"
            if not stop()
            else "interrupted; held-out seeds of what there is, Ctrl-C again ends at once"
        )
        before, after, *others = verdicts(
            problem, [start, tuned.params, *(one.params for one in proposals.values())], held_out
        )
    return Tuning(
        program.setting.loss,
        followed,
        start,
        mean_of(before),
        _contender(tuned, before, after),
        {name: _contender(one, before, found) for (name, one), found in zip(proposals.items(), others, strict=True)},
        left_out,
        [VERDICT + index for index in range(held_out)],
        stop(),
    )


def _contender(proposal: Proposal, before: list[float], after: list[float]) -> Contender:
    gains = [one - other for one, other in zip(before, after, strict=True)]
    return Contender(proposal, mean_of(after), mean_of(gains))


def _options_of(program: ScenarioProgram, kind: Kind) -> dict[str, Any]:
    assert program.setting.loss is not None
    declared = {one.kind: one.options for one in program.scenario.loss(program.setting.loss).meanings}
    return {name: option for name, option in declared.get(kind, {}).items() if name not in OF_SAMPLES}


def _minimize_options(
    problem: Problem, kind: Kind, budget: int, declared: Mapping[str, Any], of_kind: Mapping[str, Any]
) -> dict[str, Any]:
    """For `detrun.minimize`: what is declared, over what suits the budget.

    Differences move all parameters at once, since a gradient costs two runs then and not two for each parameter (Spall,
    IEEE Transactions on Automatic Control 37, 1992).
    """
    with plain_runs(problem) as runs:
        runs.loss(problem.start, 0)
    affordable = budget // max(runs.spent, 1)
    if affordable < 4 * HELD_OUT_MIN:
        raise UsageError(
            f"a budget of {budget:,} events is {affordable:,} runs of {runs.spent:,} steps; give at least "
            f"{4 * HELD_OUT_MIN * runs.spent:,}, or a smaller --size"
        )
    looked_at = min(max(math.ceil(affordable / HELD_OUT_SHARE), HELD_OUT_MIN), HELD_OUT_MAX)
    differs = {"difference": "simultaneous"} if kind == "finite" and len(problem.start) > 1 else {}
    taken = 2 if kind == "finite" or of_kind.get("baseline") == "twin" else 1  # runs of a sample, about
    samples = min(max(affordable // (GRADIENTS * taken), SAMPLES_MIN), SAMPLES)
    return {"samples": samples, "rate": RATE, "held_out": looked_at, **differs, **of_kind, **declared}


async def _called(program: ScenarioProgram, fixed: Mapping[str, float], params: Mapping[str, Any]) -> Any:
    return await program({**fixed, **params})
