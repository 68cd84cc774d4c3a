"""Something that was taken away while a task used it as the explanation of a failure (`checkers/uses.py`).

Two operations are named. The one that *uses* it is where the use was asked for: the innermost line of the program
outside of the file that notes uses. What *takes it away* is what the function that noted this had called last, a
decision for example (`noted_operations.py`). Then the one who takes is put off until the users are through, or a user
until it is taken: if the run passes, it is decisive that it came between.
"""

from __future__ import annotations

from detrun.checkers.noted import Noted
from detrun.checkers.transactions import Place
from detrun.checkers.uses import Taken
from detrun.explore.failures.explanation import Explanation, summary, told, verified
from detrun.explore.failures.narrated_steps import Line
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.noted_operations import noted_line
from detrun.explore.failures.operations import Operation
from detrun.explore.failures.put_off import passing_put_off
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.showing_steps import false_check
from detrun.explore.failures.trials import Trial


def decisive_removal(reversals: Reversals, narration: Narration) -> Explanation | None:
    """Where the use began of what was taken away, and where it was taken."""
    found, steps = false_check(reversals.failing.error), len(narration.steps)
    if not isinstance(found, Taken) or found.taken.step >= steps:
        return None
    users = [one for one in found.users if one.number != found.taken.number and one.step < steps]
    if not users:
        return None
    late = [(found.taken.step, [narration.steps[one.step].task for one in users])]
    late += [(one.step, []) for one in reversed(users)]
    for step, ahead in late:
        trial = passing_put_off(reversals, narration, step, ahead)
        if trial is not None:
            return _explained(reversals.failing, narration, found, users, step, trial)
    return None


def _explained(
    failing: Trial, narration: Narration, found: Taken, users: list[Noted], late: int, trial: Trial
) -> Explanation:
    labelled = [("uses", _operation(narration, one, f"uses {found.resource}", _asked(one))) for one in users]
    taken = found.taken
    line = noted_line(narration, Place(taken.step, *taken.stack[0])) if taken.stack else None
    labelled.append(("takes away", _operation(narration, taken, f"takes {found.resource} away", line)))
    lines = [
        summary(failing),
        f"What matters is that {found.resource} is taken away while it is used:",
        *told(narration, labelled),
        f"Verified: with {narration.steps[late].task} put off there until others are through, the run passes.",
    ]
    ends = labelled[0][1], labelled[-1][1]
    return verified(failing, trial, narration, lines, labelled, ends, str(found.resource))


def _operation(narration: Narration, noted: Noted, verb: str, line: Line | None) -> Operation:
    return Operation(narration.steps[noted.step].task, line, verb, noted.step)


def _asked(noted: Noted) -> Line | None:
    """A program in one file has no part that only notes."""
    if not noted.stack:
        return None
    noting = noted.stack[0]
    return Line(*next((place for place in noted.stack if place[0] != noting[0]), noting))
