"""A circle of tasks that wait for each other's own locks as the explanation of a failure (`checkers/waiting.py`).

Of each link of the circle two operations are named, where one task took what another one asked for. Locks are taken
through functions that all have in common. So a place is the innermost line of the stack that not all of them share.
The last of those that were taken is then put off until the other tasks are through: if the run passes, the order in
which they were taken decides.
"""

from __future__ import annotations

from detrun.checkers.noted import Noted
from detrun.checkers.waiting import Asked
from detrun.explore.failures.explanation import Explanation, summary, told, verified
from detrun.explore.failures.narrated_steps import Line
from detrun.explore.failures.narration import Narration
from detrun.explore.failures.operations import Operation
from detrun.explore.failures.put_off import passing_put_off
from detrun.explore.failures.reversal import Reversals
from detrun.explore.failures.showing_steps import false_check
from detrun.explore.failures.trials import Trial


def decisive_circle(reversals: Reversals, narration: Narration) -> Explanation | None:
    """What each task of a circle has taken, and asks for."""
    found = false_check(reversals.failing.error)
    if not isinstance(found, Asked) or any(link.taken.step >= len(narration.steps) for link in found.circle):
        return None
    for link in sorted(found.circle, key=lambda link: -link.taken.step):
        trial = passing_put_off(reversals, narration, link.taken.step)
        if trial is not None:
            return _explained(reversals.failing, narration, found, link.taken, trial)
    return None


def _explained(failing: Trial, narration: Narration, found: Asked, late: Noted, trial: Trial) -> Explanation:
    links = sorted(found.circle, key=lambda link: link.taken.step)
    done = [("takes", link.resource, link.taken) for link in links]
    done += [("asks for", link.resource, link.asked) for link in sorted(links, key=lambda link: link.asked.step)]
    shared = set.intersection(*(set(noted.stack) for *_, noted in done))
    labelled: list[tuple[str, Operation]] = []
    for verb, resource, noted in done:
        place = next((one for one in noted.stack if one not in shared), noted.stack[0] if noted.stack else None)
        task = narration.steps[noted.step].task if noted.step < len(narration.steps) else noted.task
        line = None if place is None else Line(*place)
        labelled.append((verb, Operation(task, line, f"{verb} {resource}", noted.step)))
    what = f"with {narration.steps[late.step].task} put off there until the others are through"
    lines = [
        summary(failing),
        "What matters is what each has taken while it asks for what another one has:",
        *told(narration, labelled),
        f"Verified: {what}, the run passes.",
    ]
    return verified(failing, trial, narration, lines, labelled, (labelled[0][1], labelled[1][1]))
