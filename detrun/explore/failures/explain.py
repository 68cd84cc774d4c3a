"""Explanation of a failure: what decides that it fails, verified by running it the other way.

Each *strategy* looks for one kind of reason and tests it by further runs: two operations whose order the scheduler
decides (`decisive_pairs.py`), or two such pairs at once (`decisive_two_pairs.py`), or virtual time by when a message, a
sleep or a time-out comes (`decisive_order.py`); one message (`decisive_message.py`); what adds up while a task sleeps
(`decisive_moment.py`); transactions that overlap (`decisive_transactions.py`); tasks that wait in a circle
(`decisive_circle.py`); something that is taken away while it is used (`decisive_removal.py`); the place at which a task
was cancelled (`decisive_cancellation.py`); the order of the operations that a check names, or when they come
(`decisive_noted.py`); the moment of a planned fault (`decisive_faults.py`); an early timer or a garbage collection
(`decisive_actions.py`). What is named has happened and
was *verified*: with it the other way round, or left out, and everything else as near as possible, the run passes. The
strategies have their turn in the order of the table below, and the first that succeeds explains the failure.

If nothing verifies, the explanation says so, and shows where the nearest schedule that passes goes another way
(`nearest_passing.py`).

Source of the idea: Choi and Zeller, "Isolating failure-inducing thread schedules", ISSTA 2002, who narrow the
difference between a failing and a passing schedule down to one switch. Departure: a pair is looked for among the
operations that conflict, and tested by itself.
"""

from __future__ import annotations

from collections.abc import Callable

from detrun.execution.schedules import unpacked
from detrun.explore.failures.decisive_actions import decisive_action, only_actions
from detrun.explore.failures.decisive_cancellation import decisive_cancellation
from detrun.explore.failures.decisive_circle import decisive_circle
from detrun.explore.failures.decisive_faults import decisive_delays, decisive_faults, only_faults
from detrun.explore.failures.decisive_message import decisive_message, decisive_request
from detrun.explore.failures.decisive_moment import decisive_moment
from detrun.explore.failures.decisive_noted import decisive_noted, decisive_noted_pair
from detrun.explore.failures.decisive_order import decisive_observation, decisive_order, decisive_order_of_one
from detrun.explore.failures.decisive_pairs import decisive_cycle, decisive_lines, decisive_pair
from detrun.explore.failures.decisive_removal import decisive_removal
from detrun.explore.failures.decisive_transactions import decisive_transactions
from detrun.explore.failures.decisive_two_pairs import decisive_two_pairs
from detrun.explore.failures.explanation import Explanation, common
from detrun.explore.failures.narration import Narration, narrate
from detrun.explore.failures.nearest_passing import unverified
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.trials import Trial, TrialRunner

REVERSALS = 240
SECONDS = 20.0

# Each with the share of the trials and of the time that are left when its turn comes. Pairs come twice: where messages
# and faults decide there are thousands, and reversing them says nothing.
STRATEGIES: tuple[tuple[Callable[[Reversals, Narration], Explanation | None], float], ...] = (
    (decisive_cycle, 1.0),
    (decisive_circle, 0.3),
    (decisive_removal, 0.5),
    (decisive_noted_pair, 0.5),
    (decisive_transactions, 0.3),
    (only_actions, 1.0),
    (decisive_request, 0.3),
    (only_faults, 0.7),
    (decisive_pair, 0.3),
    (decisive_faults, 0.8),
    (decisive_noted, 0.4),
    (decisive_order, 0.6),
    (decisive_delays, 0.6),
    (decisive_message, 0.6),
    (decisive_action, 1.0),
    (decisive_pair, 0.6),
    (decisive_moment, 0.6),
    (decisive_observation, 0.6),
    (decisive_order_of_one, 0.6),
    (decisive_lines, 0.6),
    (decisive_cancellation, 0.6),
    (decisive_two_pairs, 1.0),
)


def explain(runner: TrialRunner, failing: Trial, trials: int = REVERSALS, seconds: float = SECONDS) -> Explanation:
    """What decides that this trial fails.

    Args:
        trials: further runs at most.
        seconds: after which no further one begins, see `TimeLimit`.
    """
    narration = narrate(runner.program, runner.seed, unpacked(failing.schedule))
    # Being watched may keep objects alive, so that finalizers come later: from there on it is another run.
    del narration.steps[common([step.task for step in narration.steps], failing.order) :]
    if narration.open_step is not None and len(narration.steps) == len(failing.order):
        narration.steps.append(narration.open_step)
    reversals = Reversals(runner, failing, trials, seconds)
    for strategy, share in STRATEGIES:
        with reversals.limited(share):
            found = strategy(reversals, narration)
        if found is not None:
            return found
    return unverified(reversals, narration)
