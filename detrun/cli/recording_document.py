"""A recording as `detrun show --json` says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detrun.cli.summary import ended_in_words

if TYPE_CHECKING:
    from detrun.cli.summary import Summary
    from detrun_recorder.recording import Recording
    from detrun_recorder.steps import Step


def header_fields(recording: Recording, file: str) -> dict[str, Any]:
    """What every document has."""
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


def step_fields(step: Step, recording: Recording) -> dict[str, Any]:
    """One step."""
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
                "place": event.place,
            }
            for event in step.events
        ],
    }


def summary_fields(summary: Summary, recording: Recording) -> dict[str, Any]:
    """The run as a whole."""
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
                "ended": ended_in_words(task, recording),
            }
            for task in summary.tasks
        ],
        "objects": [
            {"number": number, "label": label, "operations": dict(sorted(counts.items()))}
            for number, (label, counts) in enumerate(zip(recording.objects, summary.objects, strict=True))
        ],
        "faults": [
            {"name": name, "times": fault.times, "first_step": fault.first.index, "last_step": fault.last.index}
            for name, fault in summary.faults.items()
        ],
        "last_steps": [step_fields(step, recording) for step in summary.last],
    }
