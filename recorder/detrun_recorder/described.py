"""Waits and events of a recording in words, as commands and reports show them.

A recording knows a wait by the function of trio that would abort it, which is the same for all that wait for the clock.
A task that is still there when nothing can run and no timer is set has called ``trio.sleep_forever``; of any other wait
for the clock only the program itself, run again, tells which it was.
"""

from __future__ import annotations

from detrun_recorder.steps import ENDED, Event

CLOCK = "sleep_forever"


def wait_shown(outcome: str) -> str:
    """How a step ended; a wait for the clock as ``trio.sleep``, its name in almost every program."""
    return "trio.sleep" if outcome == CLOCK else outcome


def is_wait(outcome: str) -> bool:
    """Whether a step that ended so left its task blocked."""
    return outcome != "checkpoint" and outcome not in ENDED


def event_described(event: Event) -> str:
    """One thing that a step did, in words."""
    match event.kind:
        case "spawn":
            return f"spawned {event.label}"
        case "wake":
            return f"woke {event.label}"
        case "operation" if event.operation == "withdraw":
            return f"a message to {event.label} had been taken back"
        case "operation":
            return f"{event.operation} on {event.label}"
        case "send":
            return f"sent to {event.label}"
        case "receive":
            return f"received from {event.label}"
        case "time":
            return f"time moved to {event.time:.9g} s"
        case "draw":
            return "drew a random number"
        case _:
            return f"{event.kind} {event.label}"
