"""A comparison of tunings as an HTML page: the loss and each parameter over the events that each contender spent."""

from __future__ import annotations

from detrun.pages.curves import Curve, Curves, Panel, Point, curves_page
from detrun_scenarios.frame.comparison import Contender, Tuning
from detrun_scenarios.frame.declaration import Loss

HEAD = ("contender", "loss", "error", "gain", "its error", "events")
ALONG = "simulated events (steps)"


def contenders_of(found: Tuning) -> dict[str, Contender]:
    """By name, gradients first."""
    return {"detrun.minimize": found.tuned, **found.black_box}


def rows_of(found: Tuning) -> list[list[str]]:
    """A table: the verdict on each contender, with what it proposes; the columns are `HEAD` and the parameters."""
    start = [f"{number:.4g}" for number in found.start.values()]
    rows = [["the default", f"{found.default.value:.6g}", f"{found.default.std_error:.2g}", "", "", "", *start]]
    for who, one in contenders_of(found).items():
        rows.append(
            [
                who,
                f"{one.held_out.value:.6g}",
                f"{one.held_out.std_error:.2g}",
                f"{one.gain.value:.4g}",
                f"{one.gain.std_error:.2g}",
                f"{one.proposal.spent:,}",
                *(f"{one.proposal.params[parameter]:.4g}" for parameter in found.start),
            ]
        )
    return rows


def notes_of(found: Tuning) -> list[str]:
    """What a reader of the table has to know beside it."""
    notes = [f"{who} is left out: {reason}" for who, reason in found.left_out.items()]
    if found.interrupted:
        notes.insert(0, "interrupted: the budget was not spent, and contenders had unequal shares of it")
    return notes


def again_of(found: Tuning) -> str:
    """The options of a command that runs the scenario with the parameters that gradients propose."""
    return " ".join(f"--param {one}={number!r}" for one, number in found.tuned.proposal.params.items())


def tuning_page(name: str, found: Tuning, loss: Loss) -> str:
    """The text of the file.

    Args:
        name: of the scenario.
    """
    contenders = contenders_of(found)
    losses = [
        Curve(
            who,
            [Point(at.spent, at.loss) for at in one.proposal.way],
            Point(one.proposal.spent, one.held_out.value, one.held_out.std_error),
        )
        for who, one in contenders.items()
    ]
    seeds = len(found.held_out_seeds)
    title = f"{loss.about}; lines as each contender saw it, squares on {seeds} held-out seeds ± a standard error"
    unit = f"{loss.name} in {loss.unit}" if loss.unit else loss.name
    panels = [Panel(title, ALONG, unit, losses, ("the default", found.default.value))]
    for parameter, start in found.start.items():
        ways = [
            Curve(who, [Point(at.spent, at.params[parameter]) for at in one.proposal.way])
            for who, one in contenders.items()
        ]
        panels.append(Panel(parameter, ALONG, parameter, ways, ("the default", start)))
    outcome = (
        f"{loss.name} of {name}: {found.tuned.held_out.value:.6g} ± {found.tuned.held_out.std_error:.2g}, "
        f"{found.tuned.gain.value:.4g} ± {found.tuned.gain.std_error:.2g} less than by default"
    )
    facts = {"gradients": found.kind, "again": again_of(found)}
    return curves_page(
        Curves(f"detrun: {name} tuned", outcome, facts, panels, [*HEAD, *found.start], rows_of(found), notes_of(found))
    )
