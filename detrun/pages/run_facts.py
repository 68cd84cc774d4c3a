"""What a page says of a recorded run in words: its title, how it ended, and how it was made."""

from __future__ import annotations

from detrun_recorder.recording import Recording
from detrun_scheduler.visible import visible


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
    return visible(f"failed: {end.error_type}: {end.error_text}".removesuffix(": ")), False


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
