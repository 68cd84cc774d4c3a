"""Reports of the first disagreement between two runs, with its likely cause and the next command.

A `Divergence` names the step, what the recording has there, what the program did there, where it stands in user code
and the last step on which both agreed. It claims no cause; it lists what commonly is one.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from detrun_scheduler.errors import DivergenceError as _DivergenceError
from detrun_scheduler.journal import EVENT_ARGUMENTS, EVENT_NAMES, FAULT, FIRST_PLACE, OPERATIONS

__all__ = ["Divergence", "RunNames", "StepSummary", "describe_events", "divergence_error", "faults_in"]


@dataclass(slots=True)
class RunNames:
    """The tables that give the numbers of one run's journal their names."""

    tasks: dict[int, str]
    kinds: list[str]
    objects: list[str]
    names: list[str]

    @classmethod
    def empty(cls) -> RunNames:
        """Tables to be filled chunk by chunk."""
        return cls({}, [], [], [])

    def task(self, number: int) -> str:
        """``task 7 (main/worker[3])``."""
        return f"task {number} ({self.tasks.get(number, 'unknown')})"


@dataclass(frozen=True, slots=True)
class StepSummary:
    """What one side did in a step."""

    task: str  # "task 7 (main/worker[3])", or "" where the run had ended
    ended: str  # "checkpoint", "done", "failed" or a wait kind
    events: tuple[str, ...]
    raised: str = ""  # by the program, as far as this side knows: "ValueError: no luck"

    def __str__(self) -> str:
        if not self.task:
            return f"the run had ended with {self.ended}" if self.ended else "the run had ended"
        how = {"checkpoint": "reached a checkpoint", "done": "returned", "failed": "raised"}
        if self.task == "the main task":
            return f"{self.task} ended: {self.ended}"
        if not self.ended:
            return self.task
        text = f"{self.task} {how.get(self.ended, f'blocked in {self.ended}')}"
        if self.raised:
            text += f" {self.raised}" if self.ended == "failed" else f": the program could not start, {self.raised}"
        return f"{text}; {', '.join(self.events)}" if self.events else text


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first disagreement between a recording and a run."""

    step: int  # counted from 0
    steps_recorded: int | None  # None when the recording is cut short
    time: float  # virtual seconds
    expected: StepSummary
    actual: StepSummary
    detail: str  # the part of the step that differs
    last_agreement: str
    stack: tuple[str, ...]  # of the task that ran, or of what it raised, outermost first
    source_changed: bool
    recording: str  # a path, or ""
    differences: tuple[str, ...] = ()  # between the recorded run and this one, as far as they are known, in sentences
    target: str | None = None  # the program, as the recording names it
    hash_seed: str | None = None  # PYTHONHASHSEED of the recorded process, "random" where it was not set; None: unknown

    def __str__(self) -> str:
        of = f" of {self.steps_recorded:,}" if self.steps_recorded is not None else ""
        lines = [
            f"replay left the recording at step {self.step:,}{of}, virtual time {self.time:g} s: {self.detail}",
            f"  recorded: {self.expected}",
            f"  replayed: {self.actual}",
            *(f"    at {place}" for place in self.stack),
            f"  last agreement: {self.last_agreement}",
        ]
        lines += [f"  {difference}" for difference in self.differences]
        if self.source_changed and not self.differences:
            lines.append("  the program's source has changed since the recording was made")
        elif not self.differences:
            lines += [f"  possible cause: {cause}" for cause in self._possible_causes()]
        lines.append(f"  next: {self._advice()}")
        return "\n".join(lines)

    def _possible_causes(self) -> list[str]:
        """None is established. A set of strings has another order under another hash seed, also one in a library."""
        was, now = self.hash_seed, os.environ.get("PYTHONHASHSEED") or "random"
        other = "clock, generator, environment, state kept from an earlier run"
        if was is None or was == now != "random" or (was == now and not self.recording):
            return [f"a value read before this step is not controlled (set order, {other})"]
        order = "the program or a library goes through a set of strings, or uses hash() of one"
        if was == "random":
            way = "it was recorded without PYTHONHASHSEED, so processes hash strings differently: set it, record anew"
        else:
            now = "not set" if now == "random" else now
            way = f"PYTHONHASHSEED was {was} and is {now}: replay with PYTHONHASHSEED={was}"
        other = f"another value read before this step is not controlled (order of a set of objects, {other})"
        return [f"{order}; {way}", other]

    def _advice(self) -> str:
        """Commands and calls that can be given as they stand."""
        step = f" --step {self.step}" if self.steps_recorded is None or self.step < self.steps_recorded else ""
        if not self.recording:
            return f"recording.save(path), then: detrun show path{step}"
        where = shlex.quote(self.recording)
        show = f"detrun show {where}{step}"
        if self.target is not None and "::" in self.target:
            return f"{show}   or follow it: pytest {shlex.quote(self.target)} --detrun-replay {where}"
        if self.target is None or "<locals>" in self.target:
            return f"{show}   or replay with mode='resync'"
        return f"{show}   or replay with resync: detrun replay {where} --resync"


def divergence_error(divergence: Divergence) -> _DivergenceError:
    """The exception that carries ``divergence`` as its attribute of that name."""
    error = _DivergenceError(str(divergence))
    error.divergence = divergence
    return error


def read_varint(column: bytes, position: int) -> tuple[int, int]:
    """The LEB128 integer at ``position``, and the position after it."""
    result = shift = 0
    while True:
        byte = column[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def faults_in(record: bytes, names: list[str]) -> list[str]:
    """The faults that took effect in a step, each once, by its record."""
    found = (_name(names, arguments[0]) for code, arguments in _events_of(record) if code == FAULT)
    return list(dict.fromkeys(found))


def describe_events(record: bytes, names: RunNames) -> tuple[str, ...]:
    """A step's record in words."""
    events = _events_of(record)
    return tuple(_describe(EVENT_NAMES.get(code, f"event {code}"), arguments, names) for code, arguments in events)


def _events_of(record: bytes) -> Iterator[tuple[int, list[int]]]:
    position = 0
    while position < len(record) and record[position]:
        code = record[position]
        position += 1
        arguments = []
        for _ in range(EVENT_ARGUMENTS.get(code, 0)):
            argument, position = read_varint(record, position)
            arguments.append(argument)
        yield code, arguments


def _name(table: list[str], index: int) -> str:
    return table[index] if index < len(table) else f"#{index}"


def _describe(event: str, arguments: list[int], names: RunNames) -> str:
    match event, arguments:
        case "spawn", [task]:
            return f"spawned {names.task(task)}"
        case "wake", [task]:
            return f"woke {names.task(task)}"
        case "operation", [number, code]:
            if code > FIRST_PLACE:
                return f"{code - FIRST_PLACE} older messages stay in {_name(names.objects, number)}"
            operation = OPERATIONS[code] if code < len(OPERATIONS) else f"operation {code}"
            return f"{operation} on {_name(names.objects, number)}"
        case ("send" | "receive") as way, [number]:
            verb = "sent to" if way == "send" else "received from"
            return f"{verb} {_name(names.objects, number)}"
        case ("effect" | "observe" | "fault") as what, [number]:
            return f"{what} {_name(names.names, number)}"
        case "time", _:
            return "time moved"
        case "draw", _:
            return "drew a random number"
    return event
