"""What every page says of a recorded run: its title, how it ended, how it was made, and its timeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun.pages.timeline import timeline_of
from detrun_recorder.recording import Recording
from detrun_scheduler.visible import visible

STEPS_MAX = 200_000  # of one page; a browser holds twice as many


def shown_steps(recording: Recording) -> tuple[range, list[str]]:
    """The steps of a page that shows as many as it can, and a note where these are not all."""
    steps = range(max(recording.steps - STEPS_MAX, 0), recording.steps)
    return steps, [f"the last {len(steps):,} of {recording.steps:,} steps"] if steps.start else []


def run_document(
    recording: Recording, steps: range, *, groups: Mapping[str, str], facts: Mapping[str, str], notes: list[str]
) -> dict[str, Any]:
    """The part of a page's data that all pages have; the sections that only some have are None.

    Args:
        steps: those to show.
        groups: the node of a task, by its path, where it is known.
        facts: by name, shown after those of the recording.
        notes: what a reader should know before.
    """
    ended, good = ending_of(recording)
    return {
        "outcome": ended,
        "good": good,
        "facts": {**facts_of(recording), **facts},
        "notes": notes,
        "timeline": timeline_of(recording, steps, groups).document(),
        **dict.fromkeys(("source", "values", "world", "failure", "gradient")),
    }


def title_of(recording: Recording) -> str:
    """Of the page."""
    return f"detrun: {recording.target or 'a run'}"


def ending_of(recording: Recording) -> tuple[str, bool | None]:
    """How the run ended, and whether that is good; None where it was cut."""
    end = recording.end
    if end is None:
        return "was cut before its end", None
    if end.outcome == "ok":
        return "returned", True
    said = str(end.error_text).partition("\n")[0]  # the section on the failure has all of it
    return visible(f"failed: {end.error_type}: {said}".removesuffix(": ")), False


def facts_of(recording: Recording) -> dict[str, str]:
    """How it was made, by name."""
    parameters = recording.header.get("parameters")
    facts = {
        "steps": f"{recording.steps:,}",
        "virtual time": f"{recording.virtual_time:.9g} s",
        "seed": str(recording.seed),
        "strategy": str(recording.strategy),
        "digest": recording.digest.hex(),
    }
    if isinstance(parameters, dict) and parameters:
        facts["parameters"] = ", ".join(f"{name}={value}" for name, value in parameters.items())
    return {name: visible(text) for name, text in facts.items()}
