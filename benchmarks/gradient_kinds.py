"""Sample efficiency of the kinds of gradients: variance × CPU on programs whose derivative is known.

The error of a mean falls with the root of the CPU it is given, so variance of the mean × CPU is one number for each
kind and program: the CPU for a wanted precision. The table has that number of independent differences (two runs with
seeds of their own for each parameter, no common random numbers) over that of each kind: 20× is the same error at a
twentieth of the CPU. With more than one parameter, variances are added in units of each parameter. Beside it stands by
how many standard errors the kind is off; where it is off by more than four, its efficiency is in an answer to another
question, and is left out.

All differences move parameters by a tenth of themselves, so they share their bias and differ in noise alone. Smaller
steps would favour common random numbers. What is unfair: independent differences are not told what step is best for
them; CPU seconds of the kinds hold what `detrun.gradient` does besides runs, such as looking at the bias of the step.
``python -m benchmarks.gradient_kinds`` takes about seven minutes; with ``--quick`` under one.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import detrun
from benchmarks.gradient_programs import PROGRAMS, KnownProgram, Slopes
from benchmarks.measuring import machine
from detrun.execution.options import Options
from detrun.gradients.sampling.program import SampledProgram

SHARE = 0.1  # of a parameter, that differences move it by
OFF_MAX = 4.0  # standard errors
PILOT_SAMPLES = 20  # which say how many fill the time, and warm up
SAMPLES_MAX = 20_000
SECONDS, QUICK_SECONDS = 3.0, 0.2  # CPU, of one kind on one program
SEEDS_APART = 1_000_000_007  # the seeds of independent differences begin here
INDEPENDENT = "independent"
KINDS: Mapping[str, Mapping[str, Any]] = {
    "local": {"kind": "local"},
    "expected": {"kind": "expected"},
    "policy": {"kind": "policy"},
    "finite": {"kind": "finite"},
    "frozen": {"kind": "finite", "schedule": "frozen"},
    "simultaneous": {"kind": "finite", "difference": "simultaneous"},
    "relaxed": {"kind": "relaxed"},
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind on one program.

    Attributes:
        grads, errors: the mean of its samples by parameter, and the standard error.
        work: variance of the mean in units of the parameters × seconds of CPU.
        off: by how many standard errors the worst parameter is off; None if there is no error to measure by and the
            number is wrong.
        samples: taken.
        refused: the reason of a refusal; empty for an answer.
    """

    grads: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    work: float = 0.0
    off: float | None = 0.0
    samples: int = 0
    refused: str = ""

    @property
    def is_right(self) -> bool:
        """Whether it answers the question at all."""
        return not self.refused and self.off is not None and abs(self.off) <= OFF_MAX

    @property
    def is_exact(self) -> bool:
        """Whether every sample says the same, up to rounding: then there is no variance to speak of."""
        return all(error <= 1e-9 * abs(self.grads[name]) for name, error in self.errors.items())


@dataclass(frozen=True, slots=True)
class Line:
    """All kinds on one program; ``truth`` has the right derivatives with their standard errors."""

    program: str
    source: str
    truth: Mapping[str, Sequence[float]]
    kinds: Mapping[str, Measured]


def measured(
    grads: Mapping[str, float],
    errors: Mapping[str, float],
    cpu_seconds: float,
    samples: int,
    program: KnownProgram,
    truth: Slopes,
) -> Measured:
    """Hold an estimate against what is right."""
    work = math.fsum((errors[name] * program.params[name]) ** 2 for name in grads) * cpu_seconds
    offs = []
    for name, (exact, error) in truth.items():
        apart, noise = grads[name] - exact, math.hypot(errors[name], error)
        if abs(apart) <= 1e-6 * abs(exact):  # no more than rounding, however small the noise
            offs.append(0.0)
        else:
            offs.append(apart / noise if noise > 0 else math.inf)
    worst = max(offs, key=abs)
    return Measured(dict(grads), dict(errors), work, None if math.isinf(worst) else worst, samples)


def independent(program: KnownProgram, truth: Slopes, seconds: float) -> Measured:
    """Central differences, every run with a seed of its own, until the seconds of CPU are over."""
    steps = {name: SHARE * number for name, number in program.params.items()}
    found: dict[str, list[float]] = {name: [] for name in steps}
    seed = SEEDS_APART
    with SampledProgram(program.main, program.params, Options()).prepared() as runs:
        runs.run(program.params, seed)
        begun = time.process_time()
        taken = 0.0
        while taken < seconds or len(found[next(iter(steps))]) < PILOT_SAMPLES:
            for name, step in steps.items():
                sides = []
                for sign in (1.0, -1.0):
                    seed += 1
                    moved = {**program.params, name: program.params[name] + sign * step}
                    sides.append(runs.run(moved, seed).value)
                found[name].append((sides[0] - sides[1]) / (2 * step))
            taken = time.process_time() - begun
    count = len(found[next(iter(steps))])
    grads = {name: statistics.fmean(one) for name, one in found.items()}
    errors = {name: statistics.stdev(one) / math.sqrt(count) for name, one in found.items()}
    return measured(grads, errors, taken, count, program, truth)


def of_kind(program: KnownProgram, truth: Slopes, kind: str, seconds: float) -> Measured:
    """One kind, with as many samples as fill the seconds of CPU."""
    options = dict(KINDS[kind])
    if options["kind"] == "finite":
        options["step"] = {name: SHARE * number for name, number in program.params.items()}
    if options["kind"] == "relaxed":
        options["temperature"] = program.temperature
    try:
        pilot = detrun.gradient(program.main, program.params, samples=PILOT_SAMPLES, seed=1, **options)
        assert pilot.cost is not None
        each = pilot.cost.cpu_seconds / PILOT_SAMPLES
        samples = min(max(PILOT_SAMPLES, int(seconds / each)), SAMPLES_MAX)
        found = detrun.gradient(program.main, program.params, samples=samples, seed=2, **options)
    except detrun.DetrunError as error:
        return Measured(refused=f"{type(error).__name__}: {error}")
    assert found.cost is not None
    return measured(found.grads, found.std_error, found.cost.cpu_seconds, samples, program, truth)


def kinds_of(program: KnownProgram) -> list[str]:
    """The kinds that say something of their own: soft choices and several parameters are not in every program."""
    left_out = {"relaxed"} if program.temperature is None else set()
    if len(program.params) == 1:
        left_out.add("simultaneous")
    return [kind for kind in KINDS if kind not in left_out]


def line_of(program: KnownProgram, seconds: float) -> Line:
    """Measure all kinds on one program."""
    truth = program.truth(program.params)
    kinds = {INDEPENDENT: independent(program, truth, seconds)}
    kinds |= {kind: of_kind(program, truth, kind, seconds) for kind in kinds_of(program)}
    return Line(program.name, program.source, truth, kinds)


def header() -> list[str]:
    """The columns of the table."""
    return ["program", "right", INDEPENDENT, *KINDS]


def cells(line: Line) -> list[str]:
    """One line of the table."""
    right = ", ".join(f"{exact:.3g}" for exact, _ in line.truth.values())
    base = line.kinds[INDEPENDENT]
    found = [line.program, f"{right} ({line.source})"]
    for kind in (INDEPENDENT, *KINDS):
        one = line.kinds.get(kind)
        if one is None:
            found.append("–")
        elif one.refused:
            found.append("refused")
        elif one.off is None:
            found.append("wrong")
        elif not one.is_right:
            found.append(f"off {one.off:+.0f}")
        else:
            times = "no noise" if one.is_exact else f"{_two_digits(base.work / one.work)}×"
            found.append(f"{times}, {one.off:+.1f}")
    return found


def _two_digits(number: float) -> str:
    if number >= 10:
        digits = max(0, math.floor(math.log10(number)) - 1)
        return f"{round(number, -digits):,.0f}"
    return f"{number:.2g}"


def markdown(lines: Sequence[Line], about: str) -> str:
    """The table of docs/gradients.md."""
    rows = [header(), ["---"] * len(header()), *(cells(line) for line in lines)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + f"\n{about}\n"


def table(lines: Sequence[Line], about: str) -> Table:
    """The same for a terminal."""
    shown = Table(title="variance × CPU, independent differences over each kind; standard errors off", caption=about)
    for column in header():
        shown.add_column(column)
    for line in lines:
        shown.add_row(*cells(line))
    return shown


def loaded(file: Path) -> tuple[list[Line], str]:
    """Results that were kept."""
    kept = json.loads(file.read_text())
    lines = [
        Line(one["program"], one["source"], one["truth"], {kind: Measured(**m) for kind, m in one["kinds"].items()})
        for one in kept["lines"]
    ]
    return lines, kept["about"]


@click.command(help="Variance × CPU of every kind of gradient on programs whose derivative is known.")
@click.option("--only", multiple=True, metavar="WORD", help="Only programs with this in their name; may be repeated.")
@click.option("--seconds", default=SECONDS, show_default=True, help="CPU of one kind on one program.")
@click.option("--quick", is_flag=True, help=f"The same with {QUICK_SECONDS} seconds: under a minute.")
@click.option("--json", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the results there.")
@click.option("--show", type=click.Path(exists=True, path_type=Path), help="Run nothing: show the results there.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table of docs/gradients.md.")
def main(
    only: tuple[str, ...], seconds: float, quick: bool, file: Path | None, show: Path | None, as_markdown: bool
) -> None:
    """Measure and print."""
    if show is not None:
        lines, about = loaded(show)
    else:
        chosen = [one for one in PROGRAMS if not only or any(word in one.name for word in only)]
        if not chosen:
            raise click.UsageError(f"no program has {only[0]!r} in its name; there are {[p.name for p in PROGRAMS]}")
        seconds = QUICK_SECONDS if quick else seconds
        about = f"{seconds:g} s of CPU for each kind on each program; {machine()}."
        lines = []
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("", total=len(chosen))
            for program in chosen:
                progress.update(bar, description=program.name)
                lines.append(line_of(program, seconds))
                progress.advance(bar)
                if file is not None:  # after each, so that nothing is lost
                    kept = {"about": about, "lines": [asdict(line) for line in lines]}
                    file.write_text(json.dumps(kept, indent=1) + "\n")
    if as_markdown:
        click.echo(markdown(lines, about), nl=False)
    else:
        Console(width=200).print(table(lines, about))
        for line in lines:
            for kind, one in line.kinds.items():
                if one.refused:
                    click.echo(f"{line.program}: {kind}: {one.refused}")


if __name__ == "__main__":
    main()
