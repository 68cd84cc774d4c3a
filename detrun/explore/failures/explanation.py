"""`Explanation`: what it takes for a run to fail, in words and as data; and the words that many explanations share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from detrun.explore.failures.functions import function_at
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.operations import Operation
from detrun.explore.failures.trials import Trial
from detrun_scheduler.choices import COLLECT, FIRE
from detrun_scheduler.run import FaultSpan


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
        places: all operations that are named, in their order.
        labels: what the text calls each of the places: ``"first"``, ``"after"``, ``"asks for page 3"``.
        passing_spans: other times of planned faults with which the failing turns pass, of an explanation by
            a fault; see `RunHooks.fault_spans`.
    """

    text: str
    pair: tuple[Operation, Operation] | None
    resource: str
    first_difference: int | None
    failing: Narration
    passing: Narration | None
    verified: bool = False
    passing_spans: tuple[Mapping[str, FaultSpan], ...] = ()
    places: tuple[Operation, ...] = ()
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.places = self.places or self.pair or ()

    def __str__(self) -> str:
        return self.text


def summary(failing: Trial) -> str:
    """How many preemptions and actions of the run a failing schedule takes, as a sentence."""
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


def told(narration: Narration, labelled: Sequence[tuple[str, Operation]]) -> Iterator[str]:
    """A line for each operation, with its label, and with its place if its step was narrated."""
    width = max(len(label) for label, _ in labelled)
    for label, operation in labelled:
        place = f"  ({_place_of(narration, operation)})" if operation.step < len(narration.steps) else ""
        yield f"  {label:{width}}  {operation}{place}"


def verified(
    failing: Trial,
    passing: Trial,
    narration: Narration,
    lines: Sequence[str],
    labelled: Sequence[tuple[str, Operation]],
    pair: tuple[Operation, Operation] | None,
    resource: str = "",
) -> Explanation:
    """What a trial verifies that passes, or goes on past the failure.

    Args:
        lines: of the text.
        labelled: all operations that are named, with what the text calls them.
        pair, resource: see `Explanation`.
    """
    return Explanation(
        "\n".join(lines),
        pair,
        resource,
        common(failing.order, passing.order),
        narration,
        None,
        verified=True,
        places=tuple(operation for _, operation in labelled),
        labels=tuple(label for label, _ in labelled),
    )


def _place_of(narration: Narration, operation: Operation) -> str:
    """The function and the node in which something happened, and the virtual time."""
    step, line = narration.steps[operation.step], operation.line
    function = "" if line is None else function_at(line.file, line.number)
    places = [function, f"on {step.node}" if step.node else "", f"at {step.time:.9g} s"]
    return " ".join(filter(None, places))


def common(first: list[str], second: list[str]) -> int:
    """How many steps two schedules agree."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))
