"""``detrun minimize``: parameters that make the mean of a program's result small."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from detrun.cli.kind_options import of_kinds
from detrun.cli.options import deciding, parameter_option, speaking, surrounding, target_argument

if TYPE_CHECKING:
    from detrun.minimizing.minimum import Minimum

ROWS_MAX = 12  # of the table of iterations


@click.command(short_help="Find parameters that make a program's mean result small.")
@target_argument
@parameter_option
@click.option("--kind", required=True, metavar="KIND", help="Meaning of the gradient that is followed.")
@click.option(
    "--optimizer",
    default="adam",
    show_default=True,
    metavar="NAME",
    help="adam, torch.CLASS of torch.optim, or a method of scipy: L-BFGS-B.",
)
@click.option(
    "--rate", type=float, default=0.05, show_default=True, metavar="SHARE", help="First step, as a share of the start."
)
@click.option("--iterations", type=int, default=100, show_default=True, metavar="N", help="At most N gradients.")
@click.option("--samples", type=int, default=4, show_default=True, metavar="N", help="Seeds of each gradient.")
@click.option(
    "--held-out", type=int, default=100, show_default=True, metavar="N", help="Seeds that the loss is looked at on."
)
@click.option("--look-every", type=int, default=10, show_default=True, metavar="N", help="Iterations between looks.")
@click.option("--patience", type=int, default=3, show_default=True, metavar="N", help="Stop after N looks of no gain.")
@click.option(
    "--bound",
    "bounds",
    multiple=True,
    metavar="NAME=LOW:HIGH",
    help="Keep a parameter there; LOW or HIGH may be empty.",
)
@click.option("--log", "log_scaled", multiple=True, metavar="NAME", help="Move this parameter's logarithm. Repeatable.")
@click.option("--scale", "scales", multiple=True, metavar="NAME=SIZE", help="What a step of 1 of this parameter is.")
@click.option("--trust-region", metavar="KIND", help="Limit steps: validity, of kind local, or noise.")
@click.option("--of", default="mean", show_default=True, metavar="WHAT", help="mean, quantile:P or cvar:P.")
@click.option(
    "--checkpoint", metavar="FILE", type=click.Path(), help="Keep every evaluation, and go on from what FILE holds."
)
@click.option(
    "--png", metavar="FILE", type=click.Path(), help="Draw the loss and the parameters there; needs detrun[plots]."
)
@click.option("--html", metavar="FILE", type=click.Path(), help="Write the same as an HTML page that needs no network.")
@click.option("--workers", type=int, default=1, show_default=True, metavar="N", help="Take samples in N processes.")
@of_kinds
@deciding
@surrounding
@speaking
def minimize(
    target: str,
    params: tuple[str, ...],
    kind: str,
    optimizer: str,
    rate: float,
    iterations: int,
    samples: int,
    held_out: int,
    look_every: int,
    patience: int,
    bounds: tuple[str, ...],
    log_scaled: tuple[str, ...],
    scales: tuple[str, ...],
    trust_region: str | None,
    of: str,
    checkpoint: str | None,
    png: str | None,
    html: str | None,
    workers: int,
    of_kind: dict[str, Any],
    seed: int,
    strategy: str,
    surroundings: dict[str, Any],
) -> None:
    """Follow gradients of the mean of the number that TARGET returns, from its parameters to better ones.

    What is best, and when to stop, is decided by the loss on held-out seeds. Ctrl-C ends it with the best so far; with
    --checkpoint the same command goes on.
    """
    import detrun
    from detrun.cli import parameters, runs
    from detrun.cli.options import settings
    from detrun.cli.page import print_document
    from detrun.cli.progress import minimizing_progress
    from detrun.cli.report import check_page
    from detrun.execution.targets import load_target
    from detrun.minimizing.picture import check_picture
    from detrun_scheduler.errors import UsageError

    given = parameters.parse(params)
    limits = parameters.parse_bounds(bounds)
    sizes = parameters.parse(scales, "--scale")
    program = load_target(target)
    numbers = parameters.for_call(program, given)
    if not numbers:
        raise UsageError(f"{target} takes no parameters, so there is nothing to minimize by")
    if png is not None:
        check_picture(png)  # and not after hours
    if html is not None:
        check_page(html, "--html")
    with runs.program_output(), minimizing_progress(iterations) as report:
        found = detrun.minimize(
            program.function,
            numbers,
            kind=kind,
            optimizer=_optimizer(optimizer),
            rate=rate,
            iterations=iterations,
            samples=samples,
            held_out=held_out,
            look_every=look_every,
            patience=patience,
            seed=seed,
            bounds=limits,
            log_scaled=log_scaled,
            scales=sizes,
            trust_region=trust_region,
            of=of,
            checkpoint=checkpoint,
            workers=workers,
            progress=report,
            strategy=strategy,
            **of_kind,
            **{name: option for name, option in surroundings.items() if option is not None},
        )
    if png is not None:
        found.plot(png)
    if html is not None:
        with runs.writing(html):
            found.report(html)
    if settings().json:
        document = {**_fields(found, target, numbers, optimizer), "png": png, "html": html}
        print_document({"command": "minimize", "ok": True, "exit_code": 0, "error": None, **document})
        return
    _show(found, target, numbers, png, html)


def _optimizer(name: str) -> str | type:
    """The class that ``torch.NAME`` stands for, or the name itself."""
    from detrun_scheduler.errors import UsageError

    if not name.startswith("torch."):
        return name
    from detrun.ad import torch_bridge

    wanted = name.removeprefix("torch.").removeprefix("optim.")
    found = getattr(torch_bridge.load().optim, wanted, None)
    if not isinstance(found, type):
        raise UsageError(f"--optimizer {name}: torch.optim has no class {wanted!r}; write for example torch.SGD")
    return found


def _show(found: Minimum, target: str, numbers: dict[str, float], png: str | None, html: str | None) -> None:
    """The page: where it ended, and the way there."""
    from detrun.cli.page import open_page

    page = open_page()
    page.heading(f"minimum of {target} by {found.kind} gradients", good=True)
    page.facts(
        {
            "loss": f"{found.value:.6g} ± {found.std_error:.2g} on held-out seeds",
            "gain": f"{found.gain:.3g} ± {found.gain_std_error:.2g}, from {found.start:.6g}",
            "took": f"{len(found.history):,} iterations, {found.runs:,} runs, {found.steps:,} steps",
            "ended": found.reason,
            "again": " ".join(f"--param {name}={number!r}" for name, number in found.params.items()),
            **({} if png is None else {"picture": png}),
            **({} if html is None else {"page": html}),
        }
    )
    page.table(
        ["parameter", "from", "to"],
        [[name, f"{numbers[name]:.6g}", f"{number:.6g}"] for name, number in found.params.items()],
    )
    # Evenly spaced, with the first and the last.
    count = len(found.history)
    chosen = sorted({round(at * (count - 1) / (ROWS_MAX - 1)) for at in range(ROWS_MAX)}) if count else []
    page.table(
        ["iteration", "loss", "error", "samples", *found.params],
        [
            [
                f"{one.number:,}",
                f"{one.value:.6g}",
                f"±{one.value_std_error:.2g}",
                f"{one.samples:,}",
                *(f"{number:.6g}" for number in one.params.values()),
            ]
            for one in (found.history[at] for at in chosen)
        ],
        title="the way there",
    )
    for warning in found.warnings:
        page.note(warning)


def _fields(found: Minimum, target: str, numbers: dict[str, float], optimizer: str) -> dict[str, Any]:
    return {
        "target": target,
        "kind": found.kind,
        "optimizer": optimizer,
        "start_params": numbers,
        "start": found.start,
        "params": found.params,
        "value": found.value,
        "std_error": found.std_error,
        "gain": found.gain,
        "gain_std_error": found.gain_std_error,
        "reason": found.reason,
        "runs": found.runs,
        "steps": found.steps,
        "looks": [asdict(one) for one in found.looks],
        "history": [asdict(one) for one in found.history],
        "warnings": found.warnings,
    }
