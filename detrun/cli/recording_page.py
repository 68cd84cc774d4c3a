"""A recording as `detrun show` prints it: what it says as a whole, the surroundings of one step, and its lanes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from detrun.cli.listing import print_lanes
from detrun.cli.page import counted
from detrun.cli.summary import describe_events, ending_shown
from detrun_recorder.described import wait_shown
from detrun_scheduler.visible import visible_line

if TYPE_CHECKING:
    from detrun.cli.listing import Listed
    from detrun.cli.page import Page
    from detrun.cli.summary import Summary, TaskSummary
    from detrun_recorder.connections import Connection
    from detrun_recorder.recording import Recording
    from detrun_recorder.steps import Step

TASKS_SHOWN = 12
OBJECTS_SHOWN = 12
RUNNABLE_SHOWN = 12
CONNECTED_SHOWN = 12  # steps that led to one, or to which it led


def render_summary(
    page: Page, recording: Recording, file: str, summary: Summary, all_tasks: bool, only_last: bool
) -> None:
    """The run as a whole; of one that failed the last steps, too."""
    end = recording.end
    is_failed = end is None or end.outcome != "ok"
    if not only_last:
        page.heading(f"{file}: {recording.target or 'a run'}", good=not is_failed)
        page.facts(_header_facts(recording, file, summary))
        if not recording.whole and not recording.truncated:
            page.note("the index at the end of the file is missing; everything else is there")
        _render_tasks(page, recording, summary.tasks, all_tasks)
        waits = sorted(
            ((kind, count) for kind, count in summary.outcomes.items()), key=lambda wait: (-wait[1], wait[0])
        )
        page.table(["steps ended in", "times"], [[wait_shown(kind), f"{count:,}"] for kind, count in waits])
        _render_faults(page, summary)
        _render_objects(page, recording, summary, all_tasks)
    if summary.last and (is_failed or only_last):
        page.table(*_steps_table(summary.last), title=f"last {counted(len(summary.last), 'step')}")


def render_listing(page: Page, recording: Recording, file: str, found: Listed) -> None:
    """The lanes of the run."""
    is_good = recording.end is not None and recording.end.outcome == "ok"
    page.heading(f"{file}: {recording.target or 'a run'}", good=is_good)
    page.facts({"outcome": _ending(recording), "steps": f"{recording.steps:,}"})
    for note in found.notes:
        page.note(note)
    page.text("")
    print_lanes(page, found.listing)


def _ending(recording: Recording) -> str:
    end = recording.end
    if end is None:
        return "unknown: the recording is truncated, the steps below are those before the cut"
    if end.outcome == "ok":
        return "returned"
    return f"{end.error_type}: {end.error_text}" if end.error_text else str(end.error_type)


def _header_facts(recording: Recording, file: str, summary: Summary) -> dict[str, str]:
    header = recording.header
    per_step = f", {recording.source.size / recording.steps:.3g} per step" if recording.steps else ""
    params = header.get("parameters")
    arguments = header.get("arguments")
    packages = header.get("packages")
    versions = [f"detrun {header.get('detrun')}", f"Python {header.get('python')}"]
    if isinstance(packages, dict):
        versions += [f"{name} {version}" for name, version in packages.items()]
    facts = {
        "outcome": _ending(recording),
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
    facts["lines"] = f"detrun show {shlex.quote(file)} --listing"
    return facts


def _render_tasks(page: Page, recording: Recording, tasks: Sequence[TaskSummary], all_tasks: bool) -> None:
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
            ending_shown(task, recording),
        ]
        for task in shown
    ]
    left_out = f": the {len(shown)} with most steps, all with --tasks" if len(shown) < len(tasks) else ""
    page.table(
        ["task", "path", "steps", "first", "last", "most waited in", "ended"],
        rows,
        title=f"{counted(len(tasks), 'task')}{left_out}",
    )


def _render_faults(page: Page, summary: Summary) -> None:
    if not summary.faults:
        return
    rows = [
        [
            name,
            f"{fault.times:,}",
            f"{fault.first.time:.9g}",
            f"{fault.first.index:,}",
            fault.first.path,
            f"{fault.last.time:.9g}",
        ]
        for name, fault in summary.faults.items()
    ]
    page.table(
        ["fault", "times", "first at, s", "in step", "of task", "last at, s"],
        rows,
        title=f"{counted(len(rows), 'fault')} that took effect",
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
    rows = [
        [
            f"{step.index:,}" if step.index != marked else f"> {step.index:,}",
            f"{step.time:.9g}",
            step.path,
            wait_shown(step.outcome),
            describe_events(step),
        ]
        for step in steps
    ]
    return ["step", "time", "task", "ended in", "did"], rows


def render_step(
    page: Page,
    recording: Recording,
    step: Step,
    around: Sequence[Step],
    reached_by: Sequence[Connection],
    leads_to: Sequence[Connection],
) -> None:
    """One step, what led to it, where it led, and its neighbours."""
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
            "ended in": wait_shown(step.outcome),
            **({"led to by": _lines(one.arriving for one in reached_by)} if reached_by else {}),
            "did": visible_line(describe_events(step)).replace(", ", "\n") or "nothing that is recorded",
            **({"led to": _lines(one.leaving for one in leads_to)} if leads_to else {}),
        }
    )
    page.table(*_steps_table(around, step.index), title="around it")


def _lines(texts: Iterable[str]) -> str:
    every = list(map(visible_line, texts))
    more = [f"and {len(every) - CONNECTED_SHOWN:,} more"] if len(every) > CONNECTED_SHOWN else []
    return "\n".join([*every[:CONNECTED_SHOWN], *more])
