"""``detrun diff``: two recordings, the first step at which they differ, and what followed from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from detrun.cli.options import settings, speaking

if TYPE_CHECKING:
    from detrun_recorder.compared import Comparison
    from detrun_recorder.recording import Recording
    from detrun_recorder.steps import Step

SHOWN = 20  # affected tasks
BEFORE = 3  # steps before the first difference


@click.command(short_help="Compare two recordings: where they part, and what followed.")
@click.argument("first", metavar="A", type=click.Path())
@click.argument("second", metavar="B", type=click.Path())
@click.option("--times", is_flag=True, help="A task that does the same at another virtual time is affected, too.")
@click.option("--all", "show_all", is_flag=True, help="All affected tasks, not only the first.")
@speaking
def diff(first: str, second: str, times: bool, show_all: bool) -> None:
    """Compare recordings A and B: the first step at which they differ, and the tasks that it changed.

    Nothing is executed. Equal recordings end with exit code 0, others with 3.
    """
    from detrun.cli import failures
    from detrun.cli.page import counted, open_page, print_document
    from detrun_recorder.compared import compare
    from detrun_recorder.recording import open_recording
    from detrun_scheduler.errors import NondeterminismError

    one, other = open_recording(first), open_recording(second)
    found = compare(one, other, times=times)
    same = found.equal and one.digest == other.digest
    code = failures.OK if same else failures.DIFFERENT
    said = f"{first} and {second} {_said(found, same)}"
    if settings().json:
        error = None if same else failures.describe(NondeterminismError(said))
        ended = {"command": "diff", "ok": same, "exit_code": code, "error": error}
        print_document({**ended, "first": first, "second": second, **_document(found, one, other)})
        click.get_current_context().exit(code)
    page = open_page()
    page.heading(said, good=same)
    if found.equal:
        page.facts(_facts(one, other))
        if not same:
            page.note("what differs is in no step: values of draws or operations, the result, or the version of Python")
        click.get_current_context().exit(code)
    page.facts(_facts(one, other))
    rows = [["both", *_cells(step)] for step in one.iter_steps(max(found.common - BEFORE, 0), found.common)]
    rows += [[name, *_cells(step)] for name, step in (("A", found.first), ("B", found.second)) if step is not None]
    page.table(["in", "step", "time", "task", "ended in", "did"], rows, title="where they part")
    shown = found.affected if show_all else found.affected[:SHOWN]
    if shown:
        page.table(
            ["task", "in A", "in B"],
            [[task.path, _short(task.first, task.sources[0]), _short(task.second, task.sources[1])] for task in shown],
            title=f"{counted(len(found.affected), 'task')} did something else, {found.unaffected:,} the same",
        )
    if not found.affected:
        again = "" if times else "; --times also compares when they did it"
        page.note(f"every task did the same in both, in another order or at other times{again}")
    if len(shown) < len(found.affected):
        page.note(f"{len(found.affected) - len(shown):,} more tasks with --all")
    click.get_current_context().exit(code)


def _said(found: Comparison, same: bool) -> str:
    """What the two do, in a sentence."""
    if found.equal:
        return "make the same run" if same else "have the same steps and different digests"
    first, second = found.first, found.second
    if first is not None and second is not None:
        if found.kind == "choice":
            how = f"of {len(first.runnable)} tasks that could run, A steps {first.path}, and B steps {second.path}"
        else:
            how = f"{first.path} does something else"
    elif first is not None:
        how = f"B has ended, A goes on with {first.path}"
    else:
        how = "A has ended" if second is None else f"A has ended, B goes on with {second.path}"
    return f"part at step {found.common:,}: {how}"


def _facts(one: Recording, other: Recording) -> dict[str, str]:
    def both(name: str, first: object, second: object) -> dict[str, str]:
        return {name: str(first) if first == second else f"{first} in A, {second} in B"}

    facts = {
        **both("program", one.target, other.target),
        **both("seed", one.seed, other.seed),
        **both("steps", f"{one.steps:,}", f"{other.steps:,}"),
        **both("virtual time", f"{one.virtual_time:.9g} s", f"{other.virtual_time:.9g} s"),
        **both("outcome", _outcome(one), _outcome(other)),
    }
    first, second = (recording.header.get("parameters") or {} for recording in (one, other))
    if isinstance(first, dict) and isinstance(second, dict):
        moved = sorted(name for name in {*first, *second} if first.get(name) != second.get(name))
        if moved:
            facts["parameters"] = ", ".join(f"{name}={first.get(name)} in A, {second.get(name)} in B" for name in moved)
    return facts


def _outcome(recording: Recording) -> str:
    if recording.end is None:
        return "cut before its end"
    return "returned" if recording.end.outcome == "ok" else str(recording.end.error_type)


def _cells(step: Step) -> list[str]:
    from detrun.cli.summary import describe_events
    from detrun_recorder.described import wait_shown

    return [f"{step.index:,}", f"{step.time:.9g}", step.path, wait_shown(step.outcome), describe_events(step)]


def _short(step: Step | None, sources: Sequence[tuple[str, str]]) -> str:
    if step is None:
        return "no such step"
    from detrun_recorder.described import wait_shown

    did = ", ".join(_did(step, sources)) or "nothing that is recorded"
    return f"step {step.index:,} at {step.time:.9g} s: {did}; {wait_shown(step.outcome)}"


def _did(step: Step, sources: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What a step did, in words, with the senders of its messages where they are known."""
    from detrun_recorder.described import event_described

    left = list(sources)
    for event in step.events:
        if event.kind == "time":
            left.clear()  # what arrives after the step reaches other tasks
        label = str(event.label)
        source = next((one for one in left if event.kind == "receive" and one[0] == label), None)
        if source is not None:
            left.remove(source)
        sender = "" if source is None else source[1]
        yield f"received what {sender} sent to {label}" if sender else event_described(event)


def _document(found: Comparison, one: Recording, other: Recording) -> dict[str, Any]:
    from detrun.cli.recording_document import step_fields

    def of(step: Step | None, recording: Recording) -> dict[str, Any] | None:
        return None if step is None else step_fields(step, recording)

    return {
        "digests": [one.digest.hex(), other.digest.hex()],
        "steps": [one.steps, other.steps],
        "common": found.common,
        "kind": found.kind or None,
        "parts": [of(found.first, one), of(found.second, other)],
        "affected": [
            {
                "task": task.path,
                "time": task.time,
                "steps": [of(task.first, one), of(task.second, other)],
                "sources": [[list(source) for source in of_run] for of_run in task.sources],
            }
            for task in found.affected
        ],
        "unaffected": found.unaffected,
    }
