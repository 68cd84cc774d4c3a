"""Explanation of a failure: two operations whose order decides, verified by reversing it.

Candidates are the pairs of operations of the failing run that do not commute (`operations.py`); what is named has
happened. Each is *verified* before it is named: the schedule is run with the two the other way round and everything
else as near as possible (`reversal.py`), and it passes. For a deadlock the candidates are the acquisitions of its
cycle. Where no operation of the two tasks is known whose reversal passes, lines that they ran are tried. A failure that
takes an early timer or a garbage collection is explained by that (`decisive_actions.py`).

If nothing verifies, the explanation says so, and shows where the nearest schedule that passes goes another way.

Source of the idea: Choi and Zeller, "Isolating failure-inducing thread schedules", ISSTA 2002, who narrow the
difference between a failing and a passing schedule down to one switch. Departure: a pair is looked for among the
operations that conflict, and tested by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from traceback import walk_tb

from detrun.execution.schedules import unpacked
from detrun.explore.failures.cycles import Cycle, cycle_of
from detrun.explore.failures.decisive_actions import DecisiveAction, decisive_action, takes_only_actions
from detrun.explore.failures.narration import Line, Narration, narrate
from detrun.explore.failures.operations import LINES, Operation, pairs, pairs_of_lines
from detrun.explore.failures.reversal import Reversals, Reversed, held_back
from detrun.explore.failures.trials import LimitedTrials, Trial, TrialRunner
from detrun_scheduler.choices import COLLECT, FIRE
from detrun_scheduler.endings import exception_leaves
from detrun_scheduler.errors import DetrunError
from detrun_scheduler.user_code import is_user_file

REVERSALS = 240
SECONDS = 20.0
PASSING_TRIALS = 60
MANY = 720_720  # divisible by every number of tasks up to 16, so that a walk by its remainders is uniform


@dataclass(slots=True)
class Explanation:
    """What it takes to fail.

    Attributes:
        text: the explanation in words.
        pair: the two operations whose order decides, as they happened; if none verifies, what each schedule did where
            they part; None if there is no passing schedule, and where the run itself acts at a bad moment.
        verified: with the two the other way round the schedule passes, or without the early timer or the collection
            that is named instead.
        resource: what reports call the object that both touch; empty if it is not known.
        first_difference: the step at which the passing schedule goes another way.
        failing, passing: both schedules, step by step.
    """

    text: str
    pair: tuple[Operation, Operation] | None
    resource: str
    first_difference: int | None
    failing: Narration
    passing: Narration | None
    verified: bool = False

    def __str__(self) -> str:
        return self.text


def explain(runner: TrialRunner, failing: Trial, trials: int = REVERSALS, seconds: float = SECONDS) -> Explanation:
    """What decides that this trial fails.

    Args:
        trials: reversals tried at most.
        seconds: of real time, after which no further one begins.
    """
    narration = narrate(runner.program, runner.seed, unpacked(failing.schedule))
    # Being watched may keep objects alive, so that finalizers come later: from there on it is another run.
    del narration.steps[common([step.task for step in narration.steps], failing.order) :]
    if narration.open_step is not None and len(narration.steps) == len(failing.order):
        narration.steps.append(narration.open_step)
    reversals = Reversals(runner, failing, trials, seconds)
    error = failing.error
    cycle = None if error is None else cycle_of(exception_leaves(error)[0], narration)
    if cycle is not None:
        found = _verified_cycle(reversals, cycle)
        if found is not None:
            return _verified(failing, narration, found, cycle)
    if takes_only_actions(failing):
        acted = decisive_action(reversals, narration)
        if acted is not None:
            return _verified_action(failing, narration, acted)
    candidates = pairs(narration, _failing_line(error), _raised_in(error))
    found = reversals.best_verified(candidates) or reversals.best_verified(candidates, absent=True)
    if found is None:
        acted = decisive_action(reversals, narration)
        if acted is not None:
            return _verified_action(failing, narration, acted)
        found = reversals.best_verified(pairs_of_lines(narration))
    if found is not None:
        return _verified(failing, narration, found, None)
    return _unverified(runner, failing, narration, reversals)


def _failing_line(error: BaseException | None) -> Line | None:
    """The user's line that raised it."""
    found = None
    if error is not None:
        for frame, number in walk_tb(exception_leaves(error)[0].__traceback__):
            if is_user_file(frame.f_code.co_filename):
                found = Line(frame.f_code.co_filename, number)
    return found


def _raised_in(error: BaseException | None) -> set[Line]:
    """The lines of the program's function that raised it, if that is no check of what was done before."""
    found = set[Line]()
    leaf = None if error is None else exception_leaves(error)[0]
    if leaf is None or isinstance(leaf, AssertionError | DetrunError):
        return found
    for frame, _ in walk_tb(leaf.__traceback__):
        code = frame.f_code
        if is_user_file(code.co_filename):
            found = {Line(code.co_filename, number) for *_, number in code.co_lines() if number is not None}
    return found


def _verified_cycle(reversals: Reversals, cycle: Cycle) -> Reversed | None:
    """The last acquisition of the cycle put off until all else has gone as far as it can."""
    pair = cycle.pair
    order = reversals.failing.order
    for operation in (pair.second, pair.first):
        trial = reversals.try_order(held_back(order, operation.task, operation.step, len(order)))
        if trial is not None and trial.error is None:
            narration = reversals.narration(trial)
            if narration is not None:
                return Reversed(pair, trial, narration)
    return None


def _verified(failing: Trial, narration: Narration, found: Reversed, cycle: Cycle | None) -> Explanation:
    pair, difference = found.pair, common(failing.order, found.trial.order)
    about = f"operations on {pair.resource}" if pair.about != LINES else "lines"
    lines = [_summary(failing)]
    if cycle is None:
        lines += [
            f"What matters is the order of two {about}:",
            f"  first  {pair.first}",
            f"  then   {pair.second}",
            "Verified: reversed, the run passes.",
        ]
    else:
        lines += [
            "What matters is what each holds while it waits for another:",
            f"  first  {pair.first}",
            f"  then   {pair.second}",
            *(one.line() for one in cycle.acquisitions),
            "Verified: with one of the two put off until the other task is through, the run passes.",
        ]
    resource = "" if pair.about == LINES else pair.resource
    ends = (pair.first, pair.second)
    return Explanation("\n".join(lines), ends, resource, difference, narration, found.narration, True)


def _verified_action(failing: Trial, narration: Narration, found: DecisiveAction) -> Explanation:
    text = "\n".join([_summary(failing), *found.text, "Verified: without it the run passes."])
    return Explanation(text, None, "", found.step, narration, found.passing, True)


def _unverified(runner: TrialRunner, failing: Trial, narration: Narration, reversals: Reversals) -> Explanation:
    """The shortest difference to a schedule that passes."""
    tried = f"{reversals.used} reversals of two operations were tried"
    if reversals.is_cut:
        tried += f" in {reversals.seconds:g} s, which is the limit,"
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
        _summary(failing),
        f"Not verified: {tried}, and of none could be shown that it decides.",
        f"The nearest schedule that passes goes another way at step {difference}:",
    ]
    if here is not None:
        lines.append(f"  here   {here}")
    if there is not None:
        lines.append(f"  there  {there}")
    then = None if there is None else _next_of(narration, there.task, difference)
    pair = None if here is None or then is None else (here, then)
    return Explanation("\n".join(lines), pair, "", difference, narration, other)


def _operation_at(narration: Narration, index: int) -> Operation | None:
    """What the task does that steps there, from then on until it has run a line."""
    return None if index >= len(narration.steps) else _next_of(narration, narration.steps[index].task, index)


def _next_of(narration: Narration, task: str, index: int) -> Operation | None:
    for at, step in enumerate(narration.steps[index:], index):
        if step.task == task and step.lines:
            return Operation(task, step.lines[0], "runs", at)
    return None


def _summary(failing: Trial) -> str:
    if not failing.turns:
        return "It fails if every task goes on for as long as it can."
    actions = failing.actions
    preemptions = sum(failing.preemptions) - sum(actions.values())
    taken = [f"{preemptions} preemption{'s' if preemptions > 1 else ''}"] if preemptions else []
    early, collections = actions[FIRE], actions[COLLECT]
    taken += [f"{early} timer{'s' if early > 1 else ''} that fire{'' if early > 1 else 's'} while tasks can run"] * (
        early > 0
    )
    taken += [f"{collections} garbage collection{'s' if collections > 1 else ''}"] * (collections > 0)
    if not taken:
        return "It takes no preemption, only an order in which tasks follow those that block or end."
    return f"It takes {' and '.join(taken)}."


def common(first: list[str], second: list[str]) -> int:
    """How many steps two schedules agree."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


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
