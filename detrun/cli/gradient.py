"""``detrun gradient``: derivatives of a program's result with respect to its parameters."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from detrun.cli.kind_options import OF_KINDS, of_kinds
from detrun.cli.options import deciding, parameter_option, speaking, surrounding, target_argument

CREDIT_OF_PAGES = 2_000  # steps and flows

if TYPE_CHECKING:
    from detrun.gradients.comparison import Comparison
    from detrun.gradients.result import Gradient


@click.command(short_help="Differentiate a program's result with respect to its parameters.")
@target_argument
@parameter_option
@click.option("--recording", "file", metavar="FILE", type=click.Path(), help="Differentiate this recorded run.")
@click.option("--kind", default="local", show_default=True, metavar="KIND", help="Meaning of the gradient.")
@click.option(
    "--mode", default="reverse", show_default=True, metavar="MODE", help="reverse, or forward for few parameters."
)
@click.option("--snapshots", type=int, metavar="N", help="Bounded memory: at most N forked snapshots of the run.")
@click.option("--window", type=int, metavar="STEPS", help="Steps taped at a time.")
@click.option("--memory", type=int, metavar="BYTES", help="Maximum size of the tape of one window.")
@click.option("--html", metavar="FILE", type=click.Path(), help="Write it as an HTML page that needs no network.")
@click.option("--credit", type=int, default=0, metavar="N", help="Show the N steps that carried most of each gradient.")
@click.option("--validity/--no-validity", default=True, help="Measure how far each parameter may move.")
@click.option("--compare", is_flag=True, help="Take every kind on the same seeds, and say where and why they part.")
@click.option(
    "--flips",
    "within",
    type=click.FloatRange(min=0),
    metavar="DISTANCE",
    help="Count the decisions that flip within DISTANCE of each parameter, and measure the nearest jumps.",
)
@click.option("--samples", metavar="N", help="Average over N independent seeds, or over as many as needed: auto.")
@click.option(
    "--target-error", type=float, metavar="SHARE", help="Sample until every derivative is known to this share of it."
)
@click.option("--samples-max", type=int, metavar="N", help="At most N samples; 10,000 by default.")
@click.option("--confidence", type=float, metavar="SHARE", help="Of the intervals; 0.95 by default.")
@click.option("--workers", type=int, metavar="N", help="Take the samples in N processes.")
@click.option("--of", metavar="WHAT", help="Of the loss: mean, quantile:P or cvar:P.")
@click.option(
    "--reuse",
    multiple=True,
    metavar="FILE",
    type=click.Path(),
    help="Of kind policy: weigh this recording. Repeatable.",
)
@of_kinds
@deciding
@surrounding
@speaking
def gradient(
    target: str,
    params: tuple[str, ...],
    file: str | None,
    kind: str,
    mode: str,
    snapshots: int | None,
    window: int | None,
    memory: int | None,
    html: str | None,
    credit: int,
    validity: bool,
    compare: bool,
    within: float | None,
    samples: str | None,
    target_error: float | None,
    samples_max: int | None,
    confidence: float | None,
    workers: int | None,
    of: str | None,
    reuse: tuple[str, ...],
    of_kind: dict[str, Any],
    seed: int,
    strategy: str,
    surroundings: dict[str, Any],
) -> None:
    """Run TARGET with its parameters as differentiable numbers and sweep backward from the number that it returns.

    With --recording that recorded run is differentiated; parameters not given are the recorded ones. Otherwise a run
    is made with --seed and --strategy.

    With --samples, and with every kind but local, the derivative is one of the mean: of runs with independent seeds,
    which follow from --seed.
    """
    import detrun
    from detrun.cli import parameters, runs
    from detrun.cli.comparison import show_comparison
    from detrun.cli.gradient_page import gradient_as_data, show_gradient, shown_path
    from detrun.cli.options import settings
    from detrun.cli.page import open_page, print_document
    from detrun.cli.progress import run_progress, sampling_progress
    from detrun.cli.report import check_page
    from detrun.execution.targets import load_target
    from detrun_recorder.recording import open_recording
    from detrun_scheduler.errors import DetrunError, UsageError, text_of

    kept = credit
    if html is not None:
        check_page(html, "--html")
        if kind == "local" and mode == "reverse" and samples is None and target_error is None:
            kept = max(credit, CREDIT_OF_PAGES)
    given = parameters.parse(params)
    recording = open_recording(file) if file is not None else None
    program = load_target(target)
    numbers = parameters.for_gradient(program, given, recording)
    if not numbers:
        raise UsageError(f"{target} takes no parameters, so there is nothing to differentiate with respect to")
    if compare:
        if recording is not None or target_error is not None or (samples is not None and not samples.isdecimal()):
            raise UsageError("--compare takes a number of --samples, and neither --recording nor --target-error")
        options = {
            one: chosen
            for one, names in OF_KINDS.items()
            if (chosen := {name: of_kind[name] for name in names if name in of_kind})
        }
        with runs.program_output():
            compared = detrun.compare_gradients(
                program.function,
                numbers,
                samples=100 if samples is None else int(samples),
                seed=seed,
                workers=workers or 1,
                options=options,
                strategy=strategy,
                **surroundings,
            )
        if html is not None:
            _write(compared, html)
        show_comparison(compared, target, numbers, shown_path)
        return
    # Forks must not inherit the thread that shows progress: snapshots, and the plain run that a new run is held to.
    forks = recording is None or snapshots is not None or window is not None or memory is not None
    sampled = kind != "local" or samples is not None or target_error is not None
    total = recording.steps if recording else None
    progress = nullcontext() if forks or sampled else run_progress("differentiating", total)
    with runs.program_output(), progress, sampling_progress() if sampled else nullcontext() as report:
        found = detrun.gradient(
            program.function,
            numbers,
            recording=recording,
            seed=seed,
            kind=kind,
            mode=mode,
            strategy=strategy,
            snapshots=snapshots,
            window=window,
            memory=memory,
            credit=kept,
            validity=validity,
            **surroundings,
            samples=int(samples) if samples is not None and samples.isdecimal() else samples,
            target_error=target_error,
            samples_max=samples_max,
            confidence=confidence,
            workers=workers,
            progress=report,
            of=of,
            reuse=reuse or None,
            **of_kind,
        )
        if within is not None and found.flips is None:
            raise UsageError("--flips is about one run; leave out the samples, or choose --kind local")
        flips = found.flips(within) if within is not None else {}
        drawn, refused = flips, ""
        if html is not None and within is None:
            try:
                drawn = found.nearest_flips()
            except DetrunError as error:
                refused = text_of(error)
    if html is not None:
        _write(found, html, flips=drawn, flips_refused=refused)
        found.credit = {name: steps[:credit] for name, steps in found.credit.items() if credit}
    if settings().json:
        document = gradient_as_data(found, target, numbers, file, flips)
        print_document({"command": "gradient", "ok": True, "exit_code": 0, "error": None, **document})
        return
    show_gradient(open_page(), found, target, numbers, flips)


def _write(found: Gradient | Comparison, html: str, **more: Any) -> None:
    """Write the page of either."""
    from detrun.cli import runs

    with runs.writing(html), runs.program_output():
        found.report(html, **more)
