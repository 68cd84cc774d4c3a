"""What a what-if replay says on a page and in a document, with the line of the program that went another way."""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from detrun.execution.options import Options
from detrun.execution.program import Main, source_fingerprint
from detrun.runs import Run
from detrun_recorder.recording import Recording
from detrun_recorder.what_if import WhatIfReport

if TYPE_CHECKING:
    from detrun.explore.failures.narrated_steps import Line


def decided_at(
    recording: Recording, before: Sequence[object], run: Run, main: Main, arguments: Sequence[object]
) -> Line | None:
    """The last line that the differing step ran in both runs before it went on with another one.

    Both runs are made once more, with every line noted. None: the difference is not in the code of the step, the
    program is not the recorded one, or the step is too far in.

    Args:
        before: the arguments of the recorded run; ``arguments`` are those of ``run``.
    """
    from detrun.explore.failures.narrated_recording import narrated
    from detrun.explore.failures.narration import STEPS_MAX

    first = run.what_if.first_difference if run.what_if is not None else None
    if first is None or first.kind != "code" or first.step >= STEPS_MAX:
        return None
    if recording.header.get("source") not in (None, source_fingerprint(main)):
        return None
    lines = []
    for recorded, given in ((recording, before), (run.recording, arguments)):
        steps = narrated(recorded, main, given, Options()).steps
        if first.step >= len(steps) or steps[first.step].task != _path(first.recorded.task):
            return None
        lines.append(steps[first.step].lines)
    was, now = lines
    agreed = next((place for place, (one, other) in enumerate(zip(was, now, strict=False)) if one != other), None)
    if agreed is None:
        agreed = min(len(was), len(now))
        if len(was) == len(now):
            return None
    return was[agreed - 1] if agreed else None


def _path(task: str) -> str:
    """``main/worker`` of ``task 7 (main/worker)``."""
    return task.partition(" (")[2].removesuffix(")")


def notes_of(report: WhatIfReport, decided: Line | None) -> list[str]:
    """What a page says of the first difference."""
    if report.first_difference is None:
        return []
    notes = str(report.first_difference).splitlines()
    if decided is not None:
        text = linecache.getline(decided.file, decided.number).strip()
        notes.insert(1, f"  decided at {decided}: {text}".removesuffix(": "))
    return notes


def document_of(report: WhatIfReport, output: str | None, decided: Line | None) -> dict[str, Any]:
    """A what-if report as plain data."""
    first = report.first_difference
    return {
        "followed": report.followed,
        "steps_unknown": report.steps_unknown,
        "effects_performed": report.effects_performed,
        "output": output,
        "first_difference": None
        if first is None
        else {
            "step": first.step,
            "virtual_time": first.time,
            "recorded_time": first.recorded_time,
            "kind": first.kind,
            "flipped": first.flipped,
            "decided_at": None if decided is None else str(decided),
            "recorded": str(first.recorded),
            "actual": str(first.actual),
            "stack": list(first.stack),
            "runnable": list(first.runnable),
            "next_recorded": first.next_recorded,
        },
    }
