"""``detrun show``: the content of a recording. Only ``--listing``, ``--perfetto`` and ``--at`` run the program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from detrun.cli.options import settings, speaking

if TYPE_CHECKING:
    from detrun.cli.listing import Listed
    from detrun.cli.summary import Summary
    from detrun_recorder.connections import Connection
    from detrun_recorder.recording import Recording

LAST_SHOWN = 10
NEIGHBOURS = 3


@click.command(short_help="Show what is in a recording.")
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("--step", "number", type=int, metavar="N", help="One step with its neighbours; negative: from the end.")
@click.option(
    "--at",
    "place",
    metavar="TIME|#STEP",
    help="The run as it was at this virtual time, or after so many steps: replays the program up to there.",
)
@click.option(
    "--listing",
    is_flag=True,
    help="What each task did, side by side, with the lines that it ran: runs the program again.",
)
@click.option(
    "--target", metavar="TARGET", help="With --at, --listing or --perfetto: the program; else the recording's own."
)
@click.option(
    "--no-replay", is_flag=True, help="With --at, --listing or --perfetto: run nothing; show what the recording says."
)
@click.option("--last", type=click.IntRange(min=0), metavar="N", help="The last N steps.")
@click.option("--tasks", "all_tasks", is_flag=True, help="All tasks and objects, not only the busiest.")
@click.option(
    "--perfetto",
    metavar="OUT",
    type=click.Path(),
    help="Write a trace that ui.perfetto.dev opens: runs the program again, for lines and nodes.",
)
@click.option(
    "--clock",
    type=click.Choice(["virtual", "steps"]),
    help="With --perfetto: the axis; virtual time by default.",
)
@speaking
def show(
    file: str,
    number: int | None,
    place: str | None,
    listing: bool,
    target: str | None,
    no_replay: bool,
    last: int | None,
    all_tasks: bool,
    perfetto: str | None,
    clock: Literal["virtual", "steps"] | None,
) -> None:
    """Show what recording FILE says: how it was made, how it ended, and what each task did.

    Of a run that failed or was cut short it shows the last steps, too. Nothing is executed, except with --listing,
    --perfetto and --at: the program is run again, to show the lines that each task ran; or up to there, to show its
    tasks with their variables, shared memory, nodes, disks and messages on their way. Do that only with recordings, and
    in directories, that you trust.
    """
    from detrun.cli import moment as moments
    from detrun.cli.page import open_page, print_document
    from detrun.cli.recording_document import header_fields, step_fields, summary_fields
    from detrun.cli.recording_page import render_listing, render_step, render_summary
    from detrun_recorder.recording import open_recording
    from detrun_scheduler.errors import UsageError

    if number is not None and place is not None:
        raise UsageError("--step and --at both choose a step; give one of them")
    if listing and (place is not None or perfetto is not None):
        raise UsageError("--listing lists a run, or with --step or --last a part of it; leave --at and --perfetto out")
    if place is None and not listing and perfetto is None and (target is not None or no_replay):
        raise UsageError(
            "--target and --no-replay say how the program is run again; give them with --at, --listing or --perfetto"
        )
    if clock is not None and perfetto is None:
        raise UsageError("--clock is the axis of a trace; give it with --perfetto")
    at_step, time = (None, None) if place is None else moments.place_of(place)
    recording = open_recording(file)
    moment = None
    if place is not None and not no_replay:
        moment = moments.recreated(recording, file, target, at_step, time)
    document: dict[str, Any] = {
        "command": "show",
        "ok": True,
        "exit_code": 0,
        "error": None,
        **header_fields(recording, file),
    }
    page = open_page()
    say = not settings().json
    if listing:
        lanes = _listed(recording, file, target, not no_replay, number, last)
        document.update(listing=lanes.listing.document(), notes=lanes.notes)
        if say:
            render_listing(page, recording, file, lanes)
    elif perfetto is not None:
        events, notes = _export(recording, file, target, perfetto, clock or "virtual", replays=not no_replay)
        document.update(perfetto={"file": perfetto, "events": events}, notes=notes)
        if say:
            page.heading(f"wrote {perfetto}: {events:,} events; open it in https://ui.perfetto.dev")
            for note in notes:
                page.note(note)
    elif number is not None or place is not None:
        if number is not None:
            step = recording.step(number)
        elif at_step is not None:
            step = recording.step(min(at_step, recording.steps - 1))
        else:
            step = recording.at_time(time or 0.0)
        start, stop = max(step.index - NEIGHBOURS, 0), step.index + NEIGHBOURS + 1
        around = list(recording.iter_steps(start, stop))
        document["step"] = step_fields(step, recording)
        document["around"] = [step_fields(one, recording) for one in around]
        found = _connected(recording, step.index)
        document["reached_by"], document["leads_to"] = ([one._asdict() for one in some] for some in found)
        if moment is not None:
            document["moment"] = moment.document()
        if say:
            if moment is not None:
                moments.render(page, moment, recording)
            render_step(page, recording, step, around, *found)
    else:
        kept = LAST_SHOWN if last is None else last
        summary = _summarize(recording, kept)
        document.update(summary_fields(summary, recording))
        if say:
            only_last = last is not None and not all_tasks
            render_summary(page, recording, file, summary, all_tasks, only_last)
    if not say:
        print_document(document)


def _connected(recording: Recording, index: int) -> tuple[list[Connection], list[Connection]]:
    """What reached a step, and where it led; empty in a run that is too long to look for that."""
    from detrun.cli.listing import CONNECTED_MAX
    from detrun_recorder.connections import connections

    every = list(connections(recording)) if recording.steps <= CONNECTED_MAX else []
    return [one for one in every if one.target == index], [one for one in every if one.origin == index]


def _summarize(recording: Recording, last: int) -> Summary:
    from detrun.cli.progress import count_progress
    from detrun.cli.summary import summarize

    with count_progress("reading", recording.steps) as report:
        return summarize(recording, last, report)


def _listed(
    recording: Recording, file: str, target: str | None, replays: bool, number: int | None, last: int | None
) -> Listed:
    from detrun.cli.listing import listed

    steps, critical = None, None
    if number is not None:
        critical = recording.step(number).index
        steps = range(max(critical - NEIGHBOURS, 0), min(critical + NEIGHBOURS + 1, recording.steps))
    elif last is not None:
        steps = range(max(recording.steps - last, 0), recording.steps)
    return listed(recording, file, target, replays=replays, steps=steps, critical=critical)


def _export(
    recording: Recording,
    file: str,
    target: str | None,
    destination: str,
    clock: Literal["virtual", "steps"],
    *,
    replays: bool,
) -> tuple[int, list[str]]:
    """Write the trace: how many events it has, and what its reader has to know."""
    from detrun.cli.listing import narrated_if_possible
    from detrun.cli.runs import check_output, writing
    from detrun.reports.held_locks import HeldLocks
    from detrun.reports.source_lines import groups_of, ran_of
    from detrun_recorder.export import TRACE_START, export_perfetto

    check_output(destination, "--perfetto", TRACE_START.encode(), "a trace of detrun's")
    locks = HeldLocks()  # those of trio and asyncio, of which the recording says only that a task waited
    narration, notes = narrated_if_possible(recording, file, target, locks) if replays else (None, [])
    if narration is None:
        nodes, ran, bars = None, None, []
    else:
        nodes, ran = groups_of(narration), ran_of(narration)
        bars = locks.all_bars()
        notes += [cut] if (cut := locks.cut()) else []
    with writing(destination):
        return export_perfetto(recording, destination, clock=clock, nodes=nodes, ran=ran, bars=bars), notes
