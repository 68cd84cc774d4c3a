"""The nearest schedule that passes: what is shown of a failure that nothing explains."""

from __future__ import annotations

from random import Random

from detrun.execution.schedules import unpacked
from detrun.explore.failures.explanation import Explanation, common, summary
from detrun.explore.failures.narration import Narration, narrate
from detrun.explore.failures.operations import Operation
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.trials import LimitedTrials, Trial, TrialRunner

PASSING_TRIALS = 60
MANY = 720_720  # divisible by every number of tasks up to 16, so that a walk by its remainders is uniform


def unverified(reversals: Reversals, narration: Narration) -> Explanation:
    """The shortest difference to a schedule that passes."""
    runner, failing = reversals.runner, reversals.failing
    tried = f"{reversals.used} reversals of two operations were tried"
    if reversals.is_cut:
        tried += f" in {reversals.seconds:g} s, which is the limit"
    passing = max(reversals.passing, key=lambda trial: common(failing.order, trial.order), default=None)
    if passing is None:
        passing = _nearest_passing(runner, failing)
    if passing is None:
        text = (
            f"Not verified: {tried}, and {PASSING_TRIALS} other schedules, and none passes: "
            "this may not be a matter of the schedule."
        )
        return Explanation(text, None, "", None, narration, None)
    other = narrate(runner.program, runner.seed, unpacked(passing.schedule))
    difference = common(failing.order, passing.order)
    here, there = _operation_at(narration, difference), _operation_at(other, difference)
    lines = [
        summary(failing),
        f"Not verified: {tried}, and of none could be shown that it decides.",
        f"The nearest schedule that passes goes another way at step {difference}:",
    ]
    if here is not None:
        lines.append(f"  here   {here}")
    if there is not None:
        lines.append(f"  there  {there}")
    then = None if there is None else _next_of(narration, there.task, difference)
    pair = None if here is None or then is None else (here, then)
    return Explanation(
        "\n".join(lines), pair, "", difference, narration, other, labels=("here", "there") if pair else ()
    )


def _operation_at(narration: Narration, index: int) -> Operation | None:
    """What the task does that steps there, from then on until it has run a line."""
    return None if index >= len(narration.steps) else _next_of(narration, narration.steps[index].task, index)


def _next_of(narration: Narration, task: str, index: int) -> Operation | None:
    for at, step in enumerate(narration.steps[index:], index):
        if step.task == task and step.lines:
            return Operation(task, step.lines[0], "runs", at)
    return None


def _nearest_passing(runner: TrialRunner, failing: Trial) -> Trial | None:
    """Of the schedules that leave out one turn, or of random ones, the one that agrees for the longest time."""
    limited = LimitedTrials(runner, 4 * PASSING_TRIALS)
    trials = []
    for index in range(len(failing.turns)):
        trial = limited.try_turns([turn for at, turn in enumerate(failing.turns) if at != index])
        if trial is not None:
            trials.append(trial)
    passing = [trial for trial in trials if trial.error is None]
    if not passing:
        # Fails by itself, or each of its parts does in another way: look around.
        for index in range(PASSING_TRIALS):
            numbers = Random(f"{runner.seed} {index}").choices(range(MANY), k=2 * len(failing.order))
            trial = runner.try_choices(numbers)
            if trial.error is None:
                passing.append(trial)
    return max(passing, key=lambda trial: common(failing.order, trial.order), default=None)
