"""``detrun record``: run a program once and keep what decided it."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

import click

from detrun.cli.options import deciding, parameter_option, settings, speaking, surrounding, target_argument

if TYPE_CHECKING:
    from detrun_recorder.recording import Recording

TOKEN_SHOWN_MAX = 160  # characters; longer ones are hard to paste


def short_token(recording: Recording) -> str | None:
    """The schedule of a run as a token, if it is short."""
    from detrun_recorder.token import to_token

    if recording.truncated or recording.steps > 20 * TOKEN_SHOWN_MAX:
        return None
    token = to_token(recording)
    return token if len(token) <= TOKEN_SHOWN_MAX else None


@click.command(short_help="Run a program once and write a recording.")
@target_argument
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(),
    help="File for the recording; PROGRAM-FUNCTION-SEED.detrun in the working directory by default.",
)
@deciding
@surrounding
@click.option(
    "--listing", is_flag=True, help="List the lines that each task ran, side by side; runs the program once more."
)
@click.option(
    "--force",
    "forces",
    multiple=True,
    metavar="TASK:INDEX=OUTCOME",
    help="Let this draw come out so: true, false, a number, unit:U or bits:B. Repeatable.",
)
@parameter_option
@speaking
def record(
    target: str,
    output: str | None,
    seed: int,
    strategy: str,
    surroundings: dict[str, Any],
    listing: bool,
    forces: tuple[str, ...],
    params: tuple[str, ...],
) -> None:
    """Run TARGET once under a strategy and write what decided it to a file.

    A run that fails is recorded, too: replaying the file fails in the same way, every time.
    """
    from detrun.cli.forces import parse_forces

    record_program(
        "record",
        target,
        output,
        seed,
        strategy,
        params,
        listing,
        force=parse_forces(forces) or None,
        **surroundings,
    )


def record_program(
    command: str,
    target: str,
    output: str | None,
    seed: int,
    strategy: str,
    params: tuple[str, ...],
    listing: bool = False,
    **surroundings: Any,
) -> None:
    """Record ``target`` for the command called ``command``, and end it; ``surroundings`` go to `detrun.record`.

    Args:
        listing: whether the lines that the tasks ran are listed.
    """
    import detrun
    from detrun.cli import failures, parameters, runs
    from detrun.cli.forces import shown_addresses
    from detrun.cli.listing import listed, print_lanes
    from detrun.cli.page import open_page
    from detrun.cli.progress import run_progress
    from detrun.execution.targets import load_target

    given = parameters.parse(params)
    program = load_target(target)
    numbers = parameters.for_call(program, given)
    path = output if output is not None else default_name(target, seed)
    runs.check_output(path)
    replaced = [] if output is not None else _replaced(path, target, numbers)
    # An OSError of the program's is in the run: this is the file's, as of a full disk.
    with runs.writing(path), runs.program_output(), run_progress("recording"):
        run = detrun.record(
            program.function,
            *([numbers] if numbers else []),
            seed=seed,
            strategy=strategy,
            to=path,
            raise_errors=False,
            target=target,
            params=numbers,
            **surroundings,
        )
    found = listed(run.recording, path, target) if listing and not run.recording.truncated else None
    if found is not None and not settings().json:
        print_lanes(open_page(), found.listing)
    size = os.path.getsize(path)
    again = f"detrun replay {shlex.quote(path)}"
    # A token says neither where threads were interrupted nor what was forced, so its choices would mean something else.
    is_told = surroundings.get("preemption") in (None, "sync") and not surroundings.get("force")
    token = short_token(run.recording) if is_told else None
    document: dict[str, Any] = {
        "target": target,
        "seed": seed,
        "strategy": strategy,
        "params": numbers,
        **runs.run_fields(run),
        "recording": path,
        "bytes": size,
        "bytes_per_step": size / run.steps if run.steps else None,
        "truncated": run.recording.truncated,
        "replay_command": again,
        "token": token,
        "forces_used": shown_addresses(run.forces_used),
        "forces_unmet": shown_addresses(run.forces_unmet),
        "listing": None if found is None else found.listing.document(),
    }
    if found is not None:
        replaced += found.notes
    if run.forces_unmet:
        unmet = ", ".join(shown_addresses(run.forces_unmet))
        replaced.append(f"the run made no draw {unmet}, so nothing was forced there")
    if run.exception is not None:
        replaced += parameters.missing(program, numbers, failures.essence(run.exception))
    per_step = f", {size / run.steps:.3g} per step" if run.steps else ""
    facts = {
        **runs.run_facts(run),
        "file": f"{path} ({size:,} bytes{per_step})",
        "again": again,
        **({"token": token} if token is not None else {}),
    }
    runs.conclude(command, run, document, facts, f"recorded {target}", replaced)


def default_name(target: str, seed: int) -> str:
    """The file of a recording that was given none: the program's file or module, its function and the seed."""
    place, _, function = target.rpartition(":")
    stem = os.path.basename(place).removesuffix(".py")
    return f"{stem}-{function}-{seed}.detrun"


def _replaced(path: str, target: str, numbers: dict[str, float] | None) -> list[str]:
    """Notes about a recording of another run that the new one replaces."""
    from detrun_recorder.recording import open_recording
    from detrun_scheduler.errors import RecordingFormatError

    try:
        old = open_recording(path)
    except RecordingFormatError:
        return []
    parameters = old.header.get("parameters") or {}
    if old.target == target and parameters == (numbers or {}):
        return []
    given = ", ".join(f"{name}={value}" for name, value in parameters.items()) if isinstance(parameters, dict) else ""
    of = f"{old.target or 'another program'}{f' with {given}' if given else ''}"
    return [f"{path} held a recording of {of}, which is replaced; name files with -o to keep both"]
