"""``detrun show``: the content of a recording. Only ``--at`` runs the program: it replays up to there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from detrun.cli.options import settings, speaking
from detrun.cli.page import counted
from detrun_scheduler.visible import visible_line

if TYPE_CHECKING:
    from detrun.cli.page import Page
    from detrun.cli.summary import Summary, TaskSummary
    from detrun_recorder.recording import Recording
    from detrun_recorder.steps import Step

TASKS_SHOWN = 12
OBJECTS_SHOWN = 12
LAST_SHOWN = 10
NEIGHBOURS = 3
RUNNABLE_SHOWN = 12


@click.command(short_help="Show what is in a recording.")
@click.argument("file", metavar="FILE", type=click.Path())
@click.option("--step", "number", type=int, metavar="N", help="One step with its neighbours; negative: from the end.")
@click.option(
    "--at",
    "place",
    metavar="TIME|#STEP",
    help="The run as it was at this virtual time, or after so many steps: replays the program up to there.",
)
@click.option("--target", metavar="TARGET", help="With --at: the program; the recording names it by default.")
@click.option("--no-replay", is_flag=True, help="With --at: run nothing; show only the step there.")
@click.option("--last", type=click.IntRange(min=0), metavar="N", help="The last N steps.")
@click.option("--tasks", "all_tasks", is_flag=True, help="All tasks and objects, not only the busiest.")
@click.option("--perfetto", metavar="OUT", type=click.Path(), help="Write a trace that ui.perfetto.dev opens.")
@speaking
def show(
    file: str,
    number: int | None,
    place: str | None,
    target: str | None,
    no_replay: bool,
    last: int | None,
    all_tasks: bool,
    perfetto: str | None,
) -> None:
    """Show what recording FILE says: how it was made, how it ended, and what each task did.

    Of a run that failed or was cut short it shows the last steps, too. Nothing is executed, except with --at: the
    program is run up to there, to show its tasks with their variables, shared memory, nodes, disks and messages on
    their way. Do that only with recordings, and in directories, that you trust.
    """
    from detrun.cli import moment as moments
    from detrun.cli.page import open_page, print_document
    from detrun_recorder.recording import open_recording
    from detrun_scheduler.errors import UsageError

    if number is not None and place is not None:
        raise UsageError("--step and --at both choose a step; give one of them")
    if place is None and (target is not None or no_replay):
        raise UsageError("--target and --no-replay say how --at finds a moment; give them with --at")
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
        **_header_fields(recording, file),
    }
    page = open_page()
    say = not settings().json
    if perfetto is not None:
        document["perfetto"] = {"file": perfetto, "events": _export(recording, perfetto)}
        if say:
            page.heading(
                f"wrote {perfetto}: {document['perfetto']['events']:,} events; open it in https://ui.perfetto.dev"
            )
    elif number is not None or place is not None:
        if number is not None:
            step = recording.step(number)
        elif at_step is not None:
            step = recording.step(min(at_step, recording.steps - 1))
        else:
            step = recording.at_time(time or 0.0)
        start, stop = max(step.index - NEIGHBOURS, 0), step.index + NEIGHBOURS + 1
        around = list(recording.iter_steps(start, stop))
        document["step"] = _step_fields(step, recording)
        document["around"] = [_step_fields(one, recording) for one in around]
        if moment is not None:
            document["moment"] = moment.document()
        if say:
            if moment is not None:
                moments.render(page, moment, recording)
            _render_step(page, recording, step, around)
    else:
        kept = LAST_SHOWN if last is None else last
        summary = _summarize(recording, kept)
        document.update(_summary_fields(summary, recording))
        if say:
            only_last = last is not None and not all_tasks
            _render(page, recording, file, summary, all_tasks, only_last)
    if not say:
        print_document(document)


def _summarize(recording: Recording, last: int) -> Summary:
    from detrun.cli.progress import count_progress
    from detrun.cli.summary import summarize

    with count_progress("reading", recording.steps) as report:
        return summarize(recording, last, report)


def _export(recording: Recording, destination: str) -> int:
    from detrun.cli.runs import check_output, unwritable
    from detrun_recorder.export import TRACE_START, export_perfetto

    check_output(destination, "--perfetto", TRACE_START.encode(), "a trace of detrun's")
    try:
        return export_perfetto(recording, destination)
    except OSError as error:
        raise unwritable(destination, error) from error


# As JSON.


def _header_fields(recording: Recording, file: str) -> dict[str, Any]:
    end = recording.end
    return {
        "recording": file,
        "bytes": recording.source.size,
        "truncated": recording.truncated,
        "whole": recording.whole,
        "header": recording.header,
        "steps": recording.steps,
        "virtual_time": recording.virtual_time,
        "digest": recording.digest.hex(),
        "outcome": None if end is None else end.outcome,
        "error_type": None if end is None else end.error_type,
        "error_text": None if end is None else end.error_text,
    }


def _step_fields(step: Step, recording: Recording) -> dict[str, Any]:
    return {
        "index": step.index,
        "time": step.time,
        "task": step.task,
        "path": step.path,
        "runnable": list(step.runnable),
        "runnable_paths": [recording.tasks[task][1] for task in step.runnable],
        "choice": step.choice,
        "actions": list(step.actions),
        "outcome": step.outcome,
        "events": [
            {
                "kind": event.kind,
                "number": event.number,
                "label": event.label,
                "operation": event.operation,
                "time": event.time,
                "payload": None if event.payload is None else event.payload.hex(),
            }
            for event in step.events
        ],
    }


def _summary_fields(summary: Summary, recording: Recording) -> dict[str, Any]:
    return {
        "choices": summary.choices,
        "outcomes": dict(sorted(summary.outcomes.items())),
        "events": dict(sorted(summary.events.items())),
        "tasks": [
            {
                "number": task.number,
                "path": task.path,
                "steps": task.steps,
                "first_step": task.first_step,
                "last_step": task.last_step,
                "first_time": task.first_time,
                "last_time": task.last_time,
                "outcomes": dict(sorted(task.outcomes.items())),
                "state": task.state,
            }
            for task in summary.tasks
        ],
        "objects": [
            {"number": number, "label": label, "operations": dict(sorted(counts.items()))}
            for number, (label, counts) in enumerate(zip(recording.objects, summary.objects, strict=True))
        ],
        "last_steps": [_step_fields(step, recording) for step in summary.last],
    }


# As a page.


def _render(page: Page, recording: Recording, file: str, summary: Summary, all_tasks: bool, only_last: bool) -> None:
    end = recording.end
    is_failed = end is None or end.outcome != "ok"
    if not only_last:
        page.heading(f"{file}: {recording.target or 'a run'}", good=not is_failed)
        page.facts(_header_facts(recording, summary))
        if not recording.whole and not recording.truncated:
            page.note("the index at the end of the file is missing; everything else is there")
        _render_tasks(page, summary.tasks, all_tasks)
        waits = sorted(
            ((kind, count) for kind, count in summary.outcomes.items()), key=lambda wait: (-wait[1], wait[0])
        )
        page.table(["steps ended in", "times"], [[kind, f"{count:,}"] for kind, count in waits])
        _render_objects(page, recording, summary, all_tasks)
    if summary.last and (is_failed or only_last):
        page.table(*_steps_table(summary.last), title=f"last {counted(len(summary.last), 'step')}")


def _header_facts(recording: Recording, summary: Summary) -> dict[str, str]:
    header, end = recording.header, recording.end
    per_step = f", {recording.source.size / recording.steps:.3g} per step" if recording.steps else ""
    if end is None:
        ending = "unknown: the recording is truncated, the steps below are those before the cut"
    elif end.outcome == "ok":
        ending = "returned"
    else:
        ending = f"{end.error_type}: {end.error_text}" if end.error_text else str(end.error_type)
    params = header.get("parameters")
    arguments = header.get("arguments")
    packages = header.get("packages")
    versions = [f"detrun {header.get('detrun')}", f"Python {header.get('python')}"]
    if isinstance(packages, dict):
        versions += [f"{name} {version}" for name, version in packages.items()]
    facts = {
        "outcome": ending,
        "steps": f"{recording.steps:,}, {summary.choices:,} of them chosen among several tasks",
        "virtual time": f"{recording.virtual_time:.9g} s",
        "digest": recording.digest.hex(),
        "seed": str(recording.seed),
        "strategy": str(recording.strategy),
    }
    if isinstance(params, dict) and params:
        facts["parameters"] = ", ".join(f"{name}={value}" for name, value in params.items())
    if isinstance(arguments, list) and arguments:
        facts["arguments"] = ", ".join(map(str, arguments))
    lengths = recording.fault_lengths
    if lengths:
        changed = [
            f"{name} for {share:g} of its time" if share else f"{name} left out" for name, share in lengths.items()
        ]
        facts["faults"] = ", ".join(changed)
    facts["made by"] = ", ".join(versions) + f" on {header.get('platform')}"
    facts["file"] = f"{recording.source.size:,} bytes{per_step}"
    return facts


def _render_tasks(page: Page, tasks: Sequence[TaskSummary], all_tasks: bool) -> None:
    shown = list(tasks) if all_tasks else sorted(tasks, key=lambda task: (-task.steps, task.number))[:TASKS_SHOWN]
    shown.sort(key=lambda task: task.number)
    rows = [
        [
            str(task.number),
            task.path,
            f"{task.steps:,}",
            f"{task.first_step:,}" if task.steps else "-",
            f"{task.last_step:,}" if task.steps else "-",
            task.most_waited or "-",
            task.state,
        ]
        for task in shown
    ]
    left_out = f": the {len(shown)} with most steps, all with --tasks" if len(shown) < len(tasks) else ""
    page.table(
        ["task", "path", "steps", "first", "last", "most waited in", "ended in"],
        rows,
        title=f"{counted(len(tasks), 'task')}{left_out}",
    )


def _render_objects(page: Page, recording: Recording, summary: Summary, all_objects: bool) -> None:
    numbers = sorted(range(len(recording.objects)), key=lambda number: (-summary.objects[number].total(), number))
    if not numbers:
        return
    shown = sorted(numbers if all_objects else numbers[:OBJECTS_SHOWN])
    rows = [
        [
            recording.objects[number],
            f"{summary.objects[number].total():,}",
            _counts(summary.objects[number]),
        ]
        for number in shown
    ]
    left_out = f": the {len(shown)} busiest, all with --tasks" if len(shown) < len(numbers) else ""
    page.table(["object", "uses", "of which"], rows, title=f"{counted(len(numbers), 'object')}{left_out}")


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered)


def _steps_table(steps: Iterable[Step], marked: int | None = None) -> tuple[list[str], list[list[str]]]:
    from detrun.cli.summary import describe_events

    rows = [
        [
            f"{step.index:,}" if step.index != marked else f"> {step.index:,}",
            f"{step.time:.9g}",
            step.path,
            step.outcome,
            describe_events(step),
        ]
        for step in steps
    ]
    return ["step", "time", "task", "ended in", "did"], rows


def _render_step(page: Page, recording: Recording, step: Step, around: Sequence[Step]) -> None:
    from detrun.cli.summary import describe_events

    runnable = [recording.tasks[task][1] for task in step.runnable[:RUNNABLE_SHOWN]]
    more = f" and {len(step.runnable) - RUNNABLE_SHOWN:,} more" if len(step.runnable) > RUNNABLE_SHOWN else ""
    page.heading(f"step {step.index:,} of {recording.steps:,}: {step.path}")
    page.facts(
        {
            "virtual time": f"{step.time:.9g} s",
            "task": f"{step.task} ({step.path})",
            "runnable": ", ".join(runnable) + more,
            "choice": "none to make" if step.choice is None else f"{step.choice + 1} of {len(step.runnable)}",
            **({"before it": ", ".join(step.actions)} if step.actions else {}),
            "ended in": step.outcome,
            "did": visible_line(describe_events(step)).replace(", ", "\n") or "nothing that is recorded",
        }
    )
    page.table(*_steps_table(around, step.index), title="around it")
