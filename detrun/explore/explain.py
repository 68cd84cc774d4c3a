"""Why a schedule fails: the nearest one that passes, and the two operations whose order tells them apart.

The shrunk schedule is 1-minimal, so leaving out any one of its turns gives a schedule that does not fail so. Of those
that pass, the one that agrees with it for the longest time is compared with it. At the first difference one task goes
on instead of another. What then matters is the *critical pair*: an operation of the task that was kept waiting and one
of those that came in between, on the same object, of which at least one changes it. If no such objects are known, since
the program keeps its state in plain attributes, the pair is the lines that the two tasks ran next.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from detrun.explore.listing import code_of, shown_place
from detrun.explore.narration import Line, Narration, ToldStep, clash, is_observed, narrate
from detrun.explore.pieces import Program
from detrun.explore.schedules import unpacked
from detrun.explore.trials import Laboratory, Trial

PASSING_TRIALS = 60
NEAR, FAR = 3, 300  # steps of the waiting task in which the other end of the pair is looked for
MANY = 720_720  # divisible by every number of tasks up to 16, so that a walk by its remainders is uniform


@dataclass(frozen=True, slots=True)
class Operation:
    """One end of the critical pair."""

    task: str
    line: Line | None
    verb: str  # "reads", "changes", "runs"

    def __str__(self) -> str:
        if self.line is None:
            return self.task
        return f"{self.task} {self.verb} at {shown_place(self.line)}:  {code_of(self.line)}"


@dataclass(slots=True)
class Explanation:
    """What it takes to fail.

    Attributes:
        text: the explanation in words.
        pair: the critical operations, in the order in which they fail; None if there is no passing schedule.
        resource: what reports call the object that both touch; empty if it is not known.
        first_difference: the step at which the nearest passing schedule goes another way.
        failing, passing: both schedules, step by step.
    """

    text: str
    pair: tuple[Operation, Operation] | None
    resource: str
    first_difference: int | None
    failing: Narration
    passing: Narration | None

    def __str__(self) -> str:
        return self.text


def explain(program: Program, seed: int, failing: Trial) -> Explanation:
    """Compare a failing schedule with the nearest passing one."""
    told = narrate(program, seed, unpacked(failing.schedule))
    passing = _nearest_passing(program, seed, failing)
    if passing is None:
        tried = f"{PASSING_TRIALS} other schedules were tried and none passes: this may not be a matter of the schedule"
        return Explanation(tried, None, "", None, told, None)
    other = narrate(program, seed, unpacked(passing.schedule))
    difference = common(failing.order, passing.order)
    pair, resource = _critical_pair(told, other, difference)
    lines = [f"{_summary(failing)} The nearest schedule that passes goes another way at step {difference}."]
    if pair is not None:
        lines += [
            f"What matters is the order of two {f'operations on {resource}' if resource else 'lines'}:",
            f"  first  {pair[0]}",
            f"  then   {pair[1]}",
        ]
    return Explanation("\n".join(lines), pair, resource, difference, told, other)


def _summary(failing: Trial) -> str:
    preemptions = sum(failing.preemptions)
    if not failing.turns:
        return "It fails if every task goes on for as long as it can."
    if not preemptions:
        return "It takes no preemption, only an order in which tasks follow those that block or end."
    return f"It takes {preemptions} preemption{'s' if preemptions > 1 else ''}."


def common(first: list[str], second: list[str]) -> int:
    """How many steps two schedules agree."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


def _nearest_passing(program: Program, seed: int, failing: Trial) -> Trial | None:
    laboratory = Laboratory(program, seed, 4 * PASSING_TRIALS)
    trials = []
    for index in range(len(failing.turns)):
        trial = laboratory.try_turns([turn for at, turn in enumerate(failing.turns) if at != index])
        if trial is not None:
            trials.append(trial)
    passing = [trial for trial in trials if trial.error is None]
    if not passing:
        # Fails by itself, or each of its parts does in another way: look around.
        for index in range(PASSING_TRIALS):
            numbers = Random(f"{seed} {index}").choices(range(MANY), k=2 * len(failing.order))
            trial = laboratory.try_choices(numbers)
            if trial.error is None:
                passing.append(trial)
    return max(passing, key=lambda trial: common(failing.order, trial.order), default=None)


def _critical_pair(
    failing: Narration, passing: Narration, difference: int
) -> tuple[tuple[Operation, Operation] | None, str]:
    """The operations that come in one order in the one and in the other in the other."""
    if difference >= min(len(failing.steps), len(passing.steps)):
        return None, ""
    late = passing.steps[difference].task  # goes on there, is kept waiting here
    between: list[ToldStep] = []
    rest: list[ToldStep] = []
    for step in failing.steps[difference:]:
        if step.task == late:
            rest.append(step)
        elif not rest:
            between.append(step)
    # A task that is kept waiting for good, as in a deadlock, shows what it would have done in the other schedule.
    rest = rest or [step for step in passing.steps[difference:] if step.task == late]
    # At opcodes a line is many steps, so what comes soon is not all: then observed places are looked for further on.
    for distance, second in enumerate(rest[:FAR]):
        for first in between:
            found = clash(first, second, failing)
            if found is not None and (distance < NEAR or is_observed(found[0])):
                pair = (
                    Operation(first.task, found[0].line, found[0].verb),
                    Operation(second.task, found[1].line, found[1].verb),
                )
                return pair, failing.name_of(found[0].key)
    # What came last before the waiting task could go on is the likeliest to matter.
    first_step = next((step for step in reversed(between) if step.lines), None)
    second_step = next((step for step in rest if step.lines), None)
    if first_step is None or second_step is None:
        return None, ""
    return (
        Operation(first_step.task, first_step.lines[-1], "runs"),
        Operation(second_step.task, second_step.lines[0], "runs"),
    ), ""
