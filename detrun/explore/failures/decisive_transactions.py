"""Transactions that contradict each other as the explanation of a failure, verified by running one of them afterwards.

A history that is not serializable has a cycle of dependencies (`checkers/serializability.py`). Each is two operations
of two transactions on one key, which the history has noted in their steps. The explanation names them in the order in
which they happened (`noted_operations.py`): of a write skew two reads and two writes. One transaction of the cycle is
then put off, the last to begin first: its task is held back where it began, or what had woken it, a message say, comes
when the others have ended. If the run passes so, it is the overlap that decides. Where transactions contradict each
other again and again, it is enough that the run goes on past its end, and fails by a cycle without the others.

Source: the cycle is Adya's (PhD thesis, MIT 1999); that anomalies are told by the operations behind its edges is from
Elle (Kingsbury and Alvaro, VLDB 2020). Departure: that they decide is tested.
"""

from __future__ import annotations

from detrun.checkers.dependencies import RT, RW, WR, Dependency
from detrun.checkers.serializability import Serializability
from detrun.checkers.transactions import Transaction
from detrun.explore.failures.explanation import Explanation, common, summary, told, verified
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.noted_operations import noted_line
from detrun.explore.failures.operations import Operation
from detrun.explore.failures.put_off import PutOff, put_off
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.showing_steps import false_check
from detrun.explore.failures.trials import Trial


def decisive_transactions(reversals: Reversals, narration: Narration) -> Explanation | None:
    """The operations by which transactions contradict each other."""
    found = false_check(reversals.failing.error)
    cycle = found.cycle if isinstance(found, Serializability) else ()
    edges = [one for dependency in cycle if (one := _Edge.of(dependency, narration)) is not None]
    if not edges:
        return None
    transactions = sorted({one.before for one in cycle}, key=lambda one: -one.began)
    going_on: tuple[Transaction, PutOff] | None = None
    for late in transactions:
        began = late.step_began
        if began is None or began >= len(narration.steps):
            continue
        for run in put_off(reversals, narration, began):
            if run.trial.error is None:
                return _explained(reversals.failing, narration, edges, late, run)
            if going_on is None and _is_averted(reversals.failing, narration, {*transactions} - {late}, run):
                going_on = late, run
    return None if going_on is None else _explained(reversals.failing, narration, edges, *going_on)


def _is_averted(failing: Trial, narration: Narration, others: set[Transaction], run: PutOff) -> bool:
    """Whether a run goes on past the end of the failing one, and then fails by transactions of which none is of these.

    They began before the two runs part, so that it is known which they are.
    """
    again = false_check(run.trial.error)
    if not isinstance(again, Serializability) or run.ended is None or run.ended <= narration.steps[-1].time:
        return False
    parted = common(failing.order, run.trial.order)
    began = {one.step_began for one in others if one.step_began is not None and one.step_began < parted}
    return len(began) == len(others) and began.isdisjoint(one.before.step_began for one in again.cycle)


class _Edge:
    """A dependency as two operations, in the order in which they happened."""

    def __init__(self, dependency: Dependency, first: Operation, then: Operation) -> None:
        self.dependency = dependency
        self.first, self.then = sorted((first, then), key=lambda one: one.step)

    @classmethod
    def of(cls, dependency: Dependency, narration: Narration) -> _Edge | None:
        """None if it is of real time, or where its operations happened is not known."""
        kind, key, versions = dependency.kind, dependency.key, dependency.versions
        if kind == RT:
            return None
        first = _operation(narration, dependency.before, "read" if kind == RW else "write", key, versions[0])
        then = _operation(narration, dependency.after, "read" if kind == WR else "write", key, versions[-1])
        return None if first is None or then is None else cls(dependency, first, then)


def _operation(
    narration: Narration, transaction: Transaction, kind: str, key: object, version: object
) -> Operation | None:
    place = transaction.place_of(kind, key, version)
    if place is None or place.step >= len(narration.steps):
        return None
    return Operation(narration.steps[place.step].task, noted_line(narration, place), f"{kind}s {key!r}", place.step)


def _explained(failing: Trial, narration: Narration, edges: list[_Edge], late: Transaction, run: PutOff) -> Explanation:
    lines = [summary(failing), "What matters is that transactions overlap which cannot come one after the other:"]
    labelled: list[tuple[str, Operation]] = []
    for edge in edges:
        lines.append(f"{edge.dependency.before} before {edge.dependency.after}, for {edge.dependency}:")
        two = ("first", edge.first), ("then", edge.then)
        lines += told(narration, two)
        labelled += two
    how = (
        "the run passes" if run.trial.error is None else "it goes on past this point, and fails by a cycle without them"
    )
    lines.append(f"Verified: with {late} put off until the others have ended, {how}.")
    return verified(failing, run.trial, narration, lines, labelled, (edges[0].first, edges[0].then))
