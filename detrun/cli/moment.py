"""``detrun show --at``: the run at one moment, re-created by a replay up to there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from detrun.cli.page import counted

if TYPE_CHECKING:
    from detrun.cli.page import Page
    from detrun.inspection.moments import Moment, TaskState
    from detrun_recorder.recording import Recording

LOCALS_SHOWN = 8
FILES_SHOWN = 20
MESSAGES_SHOWN = 30
CELLS_SHOWN = 30


def place_of(text: str) -> tuple[int | None, float | None]:
    """``--at``: ``#N`` is a step, anything else a time in virtual seconds.

    Raises:
        UsageError: it is neither.
    """
    from detrun_scheduler.errors import UsageError

    try:
        if text.startswith("#"):
            return int(text[1:]), None
        time = float(text.removesuffix("s"))
    except ValueError:
        time = -1.0
    if not time >= 0:
        raise UsageError(
            f"--at {text!r} is not a place in a run; give virtual seconds, as in 2.5, or a step, as in '#120'"
        )
    return None, time


def recreated(recording: Recording, file: str, target: str | None, step: int | None, time: float | None) -> Moment:
    """The moment, with its plain data only."""
    from detrun.cli import runs
    from detrun.cli.programs import program_of
    from detrun.cli.progress import run_progress
    from detrun.inspection.time_travel import at

    program, arguments = program_of(recording, file, target, {})
    with runs.program_output(), run_progress("replaying", None):
        with at(program.function, arguments, recording, step=step, virtual_time=time) as moment:
            return moment


def render(page: Page, moment: Moment, recording: Recording) -> None:
    """The moment as a page."""
    page.heading(
        f"after {counted(moment.step, 'step')} of {recording.steps:,}, virtual time {moment.virtual_time:.9g} s"
    )
    for task in moment.tasks:
        _render_task(page, task)
    if not moment.tasks:
        page.note("no task lives: the run has not begun, or has ended")
    if moment.nodes:
        rows = [
            [
                node.name,
                node.address,
                node.state,
                str(node.starts),
                str(len(node.tasks)),
                "-" if node.clock_error is None else f"{node.clock_error:.9g}",
                ", ".join(node.mailbox) or "-",
            ]
            for node in moment.nodes
        ]
        columns = ["node", "address", "state", "starts", "tasks", "clock error", "mailbox"]
        page.table(columns, rows, title=counted(len(rows), "node"))
    for node in moment.nodes:
        if node.disk is not None:
            _render_disk(page, node.name, node.disk.document())
    if moment.in_flight:
        rows = [
            [
                f"{one.source} -> {one.destination}",
                one.protocol,
                f"{one.size:,}",
                f"{one.sent_at:.9g}",
                "held" if one.arrives_at is None else f"{one.arrives_at:.9g}",
                one.description,
            ]
            for one in moment.in_flight[:MESSAGES_SHOWN]
        ]
        page.table(
            ["link", "protocol", "bytes", "sent", "arrives", "message"],
            rows,
            title=_title(len(moment.in_flight), "message", len(rows)) + " in flight",
        )
    if moment.channels:
        rows = [
            [
                one.label,
                f"{len(one.messages)} of {one.capacity:g}",
                str(one.senders_waiting),
                str(one.receivers_waiting),
                ", ".join(one.messages[:LOCALS_SHOWN]) or "-",
            ]
            for one in moment.channels
        ]
        page.table(["channel", "buffered", "senders waiting", "receivers waiting", "messages"], rows)
    if moment.cells:
        shown = moment.cells[:CELLS_SHOWN]
        page.table(["cell", "content"], [[one.label, one.content] for one in shown])


def _render_task(page: Page, task: TaskState) -> None:
    here = os.getcwd() + os.sep
    lines = [f"{'resumes from' if task.runnable else 'waits for'} {task.waits_for}"]
    for frame in task.stack:
        lines.append(f"at {frame.file.removeprefix(here)}:{frame.line} in {frame.function}")
        named = list(frame.locals.items())
        lines += [f"     {name} = {text}" for name, text in named[:LOCALS_SHOWN]]
        if len(named) > LOCALS_SHOWN:
            lines.append(f"     and {len(named) - LOCALS_SHOWN} more names")
    page.text(f"task {task.number} ({task.path}), {'runnable' if task.runnable else 'blocked'}")
    page.text("\n".join(f"  {line}" for line in lines))


def _render_disk(page: Page, name: str, disk: dict[str, Any]) -> None:
    files, durable = disk["files"], disk["durable"]
    paths = sorted(files.keys() | durable.keys())
    rows = [[path, _content(files, path), _content(durable, path)] for path in paths[:FILES_SHOWN]]
    page.table(
        ["path", "as programs see it", "durable"],
        rows,
        title=f"disk of {name}: {_title(len(paths), 'entry', len(rows))}",
    )


def _content(files: dict[str, Any], path: str) -> str:
    if path not in files:
        return "not there"
    found = files[path]
    return "directory" if found is None else f"{found['bytes']} bytes {found['begins']}"


def _title(count: int, noun: str, shown: int) -> str:
    plural = noun if count == 1 else f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {plural}" + (f", the first {shown}" if shown < count else "")
