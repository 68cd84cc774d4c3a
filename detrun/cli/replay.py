"""``detrun replay``: run a recorded program again, exactly so, after an edit, or with other parameters."""

from __future__ import annotations

from typing import Any

import click

from detrun.cli.options import max_steps_option, parameter_option, speaking

PLACES_SHOWN = 5


@click.command(short_help="Run a recorded program again, exactly so.")
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("--target", metavar="TARGET", help="The program; the recording names it by default.")
@click.option(
    "--resync", is_flag=True, help="Follow the recording as far as the program still resembles it, and say how far."
)
@click.option(
    "--what-if",
    is_flag=True,
    help="Follow the recorded choices with other parameters, and say at which step another way was taken.",
)
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(), help="With --what-if: where to keep the run that came out."
)
@click.option("--listing", is_flag=True, help="List the lines that each task ran; runs the program once more.")
@max_steps_option
@parameter_option
@speaking
def replay(
    file: str,
    target: str | None,
    resync: bool,
    what_if: bool,
    output: str | None,
    listing: bool,
    max_steps: int | None,
    params: tuple[str, ...],
) -> None:
    """Run the program of recording FILE again; FILE may also be a schedule token, detrun1-….

    It takes the same steps and ends with the same digest, or stops at the first step that differs. The program and its
    parameters are those that the recording names, unless given here. Replaying runs that program: do it only with
    recordings, and in directories, that you trust.
    """
    import detrun
    from detrun.cli import parameters, runs
    from detrun.cli.listing import print_lanes
    from detrun.cli.options import settings
    from detrun.cli.page import open_page
    from detrun.cli.programs import program_of
    from detrun.cli.progress import run_progress
    from detrun.cli.what_if import decided_at, document_of, notes_of
    from detrun.execution.options import Options
    from detrun.explore.failures.listing import Listing
    from detrun.explore.failures.narrated_recording import narrated
    from detrun_recorder.recording import open_recording
    from detrun_recorder.token import is_token
    from detrun_scheduler.errors import UsageError

    given = parameters.parse(params)
    if listing and (resync or what_if or is_token(file)):
        raise UsageError("--listing lists a recording as it was: give a file, without --resync and --what-if")
    if what_if and (resync or is_token(file)):
        raise UsageError("--what-if follows the steps of a recording: give a file, without --resync")
    if output is not None:
        if not what_if:
            raise UsageError("-o keeps the run of a --what-if replay; other replays are their recording again")
        runs.check_output(output)
    mode = "what-if" if what_if else "resync" if resync else "strict"
    if is_token(file):
        _replay_token(file, target, given, max_steps)
        return
    recording = open_recording(file)
    program, arguments = program_of(recording, file, target, given)
    end = recording.end
    if max_steps is None and end is not None and end.error_type == "StepLimitError" and not what_if:
        max_steps = recording.steps  # the run ended there because of its limit, so the same run has the same limit
    with runs.program_output(), run_progress("replaying", None if recording.truncated else recording.steps):
        run = detrun.replay(
            program.function,
            *arguments,
            recording=recording,
            mode=mode,
            max_steps=max_steps,
            raise_errors=False,
        )
    lanes = None
    if listing and run.digest == recording.digest.hex():
        with runs.program_output():
            lanes = Listing(narrated(recording, program.function, arguments, Options(max_steps=max_steps)))
        if not settings().json:
            print_lanes(open_page(), lanes)
    is_same = None if recording.truncated else run.digest == recording.digest.hex()
    document: dict[str, Any] = {
        "recording": file,
        "target": program.text,
        "mode": mode,
        **runs.run_fields(run),
        "truncated": recording.truncated,
        "recorded_steps": recording.steps,
        "recorded_digest": recording.digest.hex(),
        "same_digest": is_same,
        "resync": None,
        "what_if": None,
        "listing": None if lanes is None else lanes.document(),
    }
    facts = runs.run_facts(run)
    if is_same is not None and run.what_if is None:
        facts["digest"] += ", as recorded" if is_same else f", recorded was {recording.digest.hex()}"
    notes = []
    if recording.truncated and not what_if:
        notes.append(
            f"the recording is truncated: its {recording.steps:,} steps were followed, then strategy "
            f"{recording.strategy or 'random'} went on"
        )
    heading = f"replayed {file}"
    if run.resync is not None:
        report = run.resync
        document["resync"] = {
            "matched": report.matched,
            "unmatched": report.unmatched,
            "places": [{"step": step, "task": path, "resumed_from": resumed} for step, path, resumed in report.places],
        }
        share = f" ({report.matched / report.steps:.1%})" if report.steps else ""
        facts["matched"] = f"{report.matched:,} of {report.steps:,} steps{share}; {recording.steps:,} recorded"
        for step, path, resumed in report.places[:PLACES_SHOWN]:
            notes.append(f"step {step:,} is not in the recording: {path} resumed from {resumed}")
        if report.unmatched > PLACES_SHOWN:
            notes.append(f"nor are {report.unmatched - PLACES_SHOWN:,} more steps")
    elif run.what_if is not None:
        before = program_of(recording, file, target, {})[1]
        with runs.program_output():
            decided = decided_at(recording, before, run, program.function, arguments)
        document["what_if"] = document_of(run.what_if, output, decided)
        facts["as recorded"] = str(run.what_if)
        notes += notes_of(run.what_if, decided)
        if output is not None:
            with runs.writing(output):
                run.recording.save(output)
            notes.append(f"recorded to {output}")
    elif is_same:
        heading += ": the same run"
    runs.conclude("replay", run, document, facts, heading, notes)


def _replay_token(token: str, target: str | None, given: dict[str, float], max_steps: int | None) -> None:
    """Run the program that a token names, or TARGET, with the choices of the token."""
    import detrun
    from detrun.cli import parameters, runs
    from detrun.cli.programs import refuse_test
    from detrun.execution.targets import load_target
    from detrun_recorder.token import from_token
    from detrun_scheduler.errors import UsageError

    schedule = from_token(token)
    named = target if target is not None else schedule.target
    if named is None:
        raise UsageError("the token does not say which program it is of; name it with --target")
    refuse_test(named, token)
    program = load_target(named)
    numbers = parameters.for_call(program, given)
    with runs.program_output():
        run = detrun.replay(
            program.function,
            *([numbers] if numbers else []),
            recording=token,
            max_steps=max_steps,
            raise_errors=False,
        )
    document: dict[str, Any] = {
        "recording": token,
        "target": named,
        "mode": "token",
        **runs.run_fields(run),
        "truncated": False,
        "recorded_steps": schedule.steps,
        "recorded_digest": None,
        "same_digest": None,
        "resync": None,
        "what_if": None,
        "listing": None,
    }
    runs.conclude("replay", run, document, runs.run_facts(run), "replayed the schedule of the token", [])
