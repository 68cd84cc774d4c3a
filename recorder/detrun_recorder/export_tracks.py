"""Tracks of a trace: processes and threads of the Trace Event Format, and the events that stand on them.

A track is a pair of process and thread. Tracks of tasks have the task's number plus one, since viewers take thread 0 of
a process for its idle thread. Slices of one track must not overlap, so an object has as many tracks as slices overlap:
a slice goes to the first whose last one has ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from detrun_recorder.steps import Step

Event = dict[str, Any]
Track = tuple[int, int]

RUN, LOCKS, CHANNELS, FAULTS, FIRST_NODE = 1, 2, 3, 4, 5  # processes
_NAMES = {LOCKS: "locks", CHANNELS: "channels and links", FAULTS: "faults"}
FIRST_OBJECT = 1 << 24  # thread numbers of objects, beyond those of tasks


@dataclass(frozen=True, slots=True)
class Span:
    """Nanoseconds from ``begin`` to before ``end``."""

    begin: int
    end: int
    name: str = ""

    @property
    def middle(self) -> int:
        """Where arrows begin and end."""
        return (self.begin + self.end) // 2

    @property
    def length(self) -> int:
        """In nanoseconds."""
        return self.end - self.begin


class TaskBar(NamedTuple):
    """A task, by its number, has a lock or waits for it, from one step to another; ``last`` is None if for good."""

    task: int
    label: str
    first: int
    last: int | None
    waits: bool = False


@dataclass(slots=True)
class Tracks:
    """Knows every track and names it before its first event.

    Args:
        title: of the process of tasks that belong to no node.
        nodes: of tasks, by their paths.
    """

    title: str
    nodes: Mapping[str, str]
    _processes: dict[str | int, int] = field(default_factory=dict)  # by node or number of a process
    _tasks: dict[int, Track] = field(default_factory=dict)
    _objects: dict[tuple[int, str], list[tuple[Track, int]]] = field(default_factory=dict)  # with the last slice's end
    _made: int = 0

    def task(self, number: int) -> Track:
        """That of a task which was named before."""
        return self._tasks[number]

    def of_task(self, step: Step) -> Iterator[Event]:
        """Name the track of a step's task, at its first step."""
        if step.task not in self._tasks:
            node = self.nodes.get(step.path, "")
            process = self._processes.get(node or RUN)
            if process is None:
                process = RUN if not node else FIRST_NODE + sum(type(one) is str for one in self._processes)
                yield from self._named(node or RUN, process, node or self.title)
            self._tasks[step.task] = process, step.task + 1
            yield from _thread(process, step.task + 1, step.path)

    def of_object(self, process: int, label: str, span: Span) -> tuple[Track, list[Event]]:
        """A track of an object that is free for a slice, and the events that name it if it is new.

        Slices of one object come in the order of their ends.
        """
        made: list[Event] = []
        if process not in self._processes:
            made += self._named(process, process, _NAMES[process])
        rows = self._objects.setdefault((process, label), [])
        for at, (track, end) in enumerate(rows):
            if end <= span.begin:
                rows[at] = track, span.end
                return track, made
        self._made += 1
        track = process, FIRST_OBJECT + self._made
        rows.append((track, span.end))
        made += _thread(*track, label)
        return track, made

    def slice(self, track: Track, name: str, category: str, span: Span, arguments: dict[str, Any]) -> Event:
        """A complete event."""
        return {
            "ph": "X",
            "pid": track[0],
            "tid": track[1],
            "ts": span.begin / 1000,
            "dur": span.length / 1000,
            "name": name,
            "cat": category,
            "args": arguments,
        }

    def counter(self, name: str, at: int, values: dict[str, float]) -> Event:
        """A value of the run from here on."""
        return {"ph": "C", "pid": RUN, "tid": 0, "ts": at / 1000, "name": name, "args": values}

    def arrow(self, name: str, number: int, begin: tuple[Track, int], end: tuple[Track, int]) -> Iterator[Event]:
        """A flow from one slice to another."""
        common = {"cat": "flow", "name": name, "id": number}
        yield {"ph": "s", **common, "pid": begin[0][0], "tid": begin[0][1], "ts": begin[1] / 1000}
        yield {"ph": "f", "bp": "e", **common, "pid": end[0][0], "tid": end[0][1], "ts": end[1] / 1000}

    def _named(self, key: str | int, process: int, name: str) -> Iterator[Event]:
        self._processes[key] = process
        order = process + 1000 if process in _NAMES else process
        for kind, arguments in (("process_name", {"name": name}), ("process_sort_index", {"sort_index": order})):
            yield {"ph": "M", "pid": process, "tid": 0, "name": kind, "args": arguments}


def _thread(process: int, thread: int, name: str) -> Iterator[Event]:
    """Metadata of a track."""
    track = {"ph": "M", "pid": process, "tid": thread}
    yield {**track, "name": "thread_name", "args": {"name": name}}
    yield {**track, "name": "thread_sort_index", "args": {"sort_index": thread}}
