"""`Moment`: a run between two steps, with its tasks, stacks and locals, shared memory, channels, and its world.

A `Moment` has two faces. Its attributes are plain data, made when the run is held: texts and numbers that stay when
the run is gone, equal for equal moments, without addresses. `Moment.live` are the objects themselves, for as long as
the run is held: the very task, channel, cell, node and disk, to be read in any way. What is done to them changes a run
that is about to be thrown away.

Only what the run has numbered is listed: an `Atomic` or a channel that no step has used yet is not there.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import trio

from detrun.inspection.text import shown
from detrun.primitives.shared import Atomic, Shared
from detrun_scheduler.clock import primal_of
from detrun_scheduler.errors import UsageError
from detrun_scheduler.reports.blocking import describe_block
from detrun_scheduler.run import ActiveRun
from detrun_scheduler.trio_host.channels import NumberedChannelState
from detrun_scheduler.trio_host.pending import await_frames
from detrun_scheduler.user_code import is_user_file


@dataclass(frozen=True, slots=True)
class FrameState:
    """One line of user code in which a task stands."""

    file: str
    line: int
    function: str
    locals: Mapping[str, str]
    """Names and what they are, in one line each."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


@dataclass(frozen=True, slots=True)
class TaskState:
    """One living task or simulated thread."""

    number: int
    path: str
    runnable: bool
    waits_for: str
    """What it will resume from if it is runnable, else what it waits for and who holds that."""
    holders: tuple[str, ...]
    stack: tuple[FrameState, ...]
    """Outermost first; user code only."""


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One memory channel."""

    label: str
    messages: tuple[str, ...]
    """Sent and not received, the oldest first."""
    capacity: float
    senders_waiting: int
    receivers_waiting: int


@dataclass(frozen=True, slots=True)
class CellState:
    """One `Atomic` or `Shared`."""

    label: str
    content: str


@dataclass(slots=True)
class Live:
    """The objects of a held run."""

    loop: ActiveRun
    tasks: dict[str, trio.lowlevel.Task]
    """By path."""
    channels: dict[str, NumberedChannelState]
    """By label: trio's shared state of both ends; ``.data`` are the messages."""
    cells: dict[str, Atomic[Any] | Shared[Any]]
    """By label."""
    world: Any = None
    """The run's `World`, None if it has none."""


@dataclass(slots=True)
class Moment:
    """A run between two steps.

    Attributes:
        step: steps taken.
        virtual_time: what the run's clock shows.
        tasks: the living ones, in the order of spawning.
        channels, cells: as the run has numbered them.
        nodes, in_flight: of its world: plain descriptions; empty without one.
    """

    step: int
    virtual_time: float
    tasks: tuple[TaskState, ...]
    channels: tuple[ChannelState, ...]
    cells: tuple[CellState, ...]
    nodes: tuple[Any, ...] = ()
    in_flight: tuple[Any, ...] = ()
    _live: Live | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        """Where each task stands, and what channels and cells hold."""
        lines = [f"after step {self.step:,}, at {self.virtual_time:.9g} s of virtual time"]
        for task in self.tasks:
            doing = "can go on from" if task.runnable else "waits for"
            lines.append(f"  task {task.number} ({task.path}) {doing} {task.waits_for}".rstrip())
            lines += [f"    at {frame}" for frame in task.stack]
        lines += [f"  {one}" for one in (*self.channels, *self.cells, *self.nodes, *self.in_flight)]
        return "\n".join(lines)

    @property
    def live(self) -> Live:
        """The objects themselves.

        Raises:
            UsageError: the ``with`` block of the moment has ended, and with it the run.
        """
        if self._live is None:
            raise UsageError("the moment is over: its objects live as long as 'with run.at(...) as moment:'")
        return self._live

    def task(self, path: str) -> TaskState:
        """The task with this path.

        Raises:
            UsageError: no living task has it.
        """
        for one in self.tasks:
            if one.path == path:
                return one
        raise UsageError(f"no task {path!r} lives at step {self.step:,}; there are {self._paths()}")

    def locals_of(self, path: str, function: str | None = None) -> dict[str, Any]:
        """The local variables of a task, as objects: of its innermost frame of user code, or of ``function``.

        Raises:
            UsageError: no such task, no such frame, or the moment is over.
        """
        task = self.live.tasks.get(path)
        if task is None:
            raise UsageError(f"no task {path!r} lives at step {self.step:,}; there are {self._paths()}")
        frames = user_frames(task)
        for frame in reversed(frames):
            if function is None or function in (frame.f_code.co_name, frame.f_code.co_qualname):
                return dict(frame.f_locals)
        wanted = "a line of user code" if function is None else function
        there = ", ".join(frame.f_code.co_qualname for frame in frames) or "nowhere in user code"
        raise UsageError(f"task {path} does not stand in {wanted} at step {self.step:,}; it stands in {there}")

    def close(self) -> None:
        """Let the objects go; the plain data stays."""
        self._live = None

    def _paths(self) -> str:
        return ", ".join(one.path for one in self.tasks) or "none"

    def document(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "step": self.step,
            "virtual_time": self.virtual_time,
            "tasks": [
                {
                    "number": task.number,
                    "path": task.path,
                    "runnable": task.runnable,
                    "waits_for": task.waits_for,
                    "holders": list(task.holders),
                    "stack": [
                        {
                            "file": frame.file,
                            "line": frame.line,
                            "function": frame.function,
                            "locals": dict(frame.locals),
                        }
                        for frame in task.stack
                    ],
                }
                for task in self.tasks
            ],
            "channels": [
                {
                    "label": channel.label,
                    "messages": list(channel.messages),
                    "capacity": channel.capacity,
                    "senders_waiting": channel.senders_waiting,
                    "receivers_waiting": channel.receivers_waiting,
                }
                for channel in self.channels
            ],
            "cells": [{"label": cell.label, "content": cell.content} for cell in self.cells],
            "nodes": [node.document() for node in self.nodes],
            "in_flight": [message.document() for message in self.in_flight],
        }


def capture(loop: ActiveRun, steps_taken: int, older: Sequence[Any] = ()) -> Moment:
    """The moment in which a held run is.

    Args:
        older: what `shown_objects` found before the heap was frozen, which hides it from the collector.
    """
    tasks, live_tasks = [], {}
    own = (loop.host.init_task, loop.host.entry_task)
    runnable = set(loop.host.queue.numbers)
    for number, task in sorted(loop.host.by_number.items()):
        if task in own:
            continue
        state = _task_state(loop, task, number, number in runnable)
        tasks.append(state)
        live_tasks[state.path] = task
    world_module = sys.modules.get("detrun.world.world")
    found = [*older, *shown_objects()]
    channels, cells = _numbered_objects(loop, found)
    live = Live(loop, live_tasks, channels, cells)
    moment = Moment(
        steps_taken,
        float(primal_of(loop.virtual_clock.now)),
        tuple(tasks),
        tuple(_channel_state(label, state) for label, state in channels.items()),
        tuple(CellState(label, shown(cell._content)) for label, cell in cells.items()),
        _live=live,
    )
    if world_module is not None:
        from detrun.inspection.world_moments import world_of

        shown_world = world_of(loop, [one for one in found if type(one) is world_module.World])
        if shown_world is not None:
            live.world, moment.nodes, moment.in_flight = shown_world
    return moment


def shown_objects() -> list[Any]:
    """The channels, cells and worlds of the process, as far as the collector knows them."""
    world_module = sys.modules.get("detrun.world.world")
    return _living(NumberedChannelState, Atomic, Shared, *([world_module.World] if world_module else []))


def _task_state(loop: ActiveRun, task: trio.lowlevel.Task, number: int, runnable: bool) -> TaskState:
    holders: tuple[str, ...] = ()
    if runnable:
        waits_for = loop.pending_of(number)
    else:
        blocked = describe_block(loop, task, number)
        waits_for, holders = blocked.waits_for, tuple(loop.path_of(one) for one in blocked.holders)
    stack = tuple(
        FrameState(
            frame.f_code.co_filename,
            frame.f_lineno,
            frame.f_code.co_qualname,
            {name: shown(value) for name, value in frame.f_locals.items()},
        )
        for frame in user_frames(task)
    )
    return TaskState(number, loop.path_of(number), runnable, waits_for, holders, stack)


def user_frames(task: trio.lowlevel.Task) -> list[FrameType]:
    """The frames of user code in which a suspended task stands, outermost first."""
    return [frame for frame in await_frames(task) if is_user_file(frame.f_code.co_filename)]


def _channel_state(label: str, state: NumberedChannelState) -> ChannelState:
    return ChannelState(
        label,
        tuple(map(shown, state.data)),
        state.max_buffer_size,
        len(state.send_tasks),
        len(state.receive_tasks),
    )


def _living(*kinds: type) -> list[Any]:
    """The objects of these very types in the process.

    A run does not hold what it has numbered: one that is not looked at must not keep what its program has dropped. The
    collector knows all that live, in a process with large libraries a million of them, so it is asked once.
    """
    wanted = frozenset(kinds)
    return [one for one in gc.get_objects() if type(one) in wanted]


def _numbered_objects(
    loop: ActiveRun, living: Sequence[Any]
) -> tuple[dict[str, NumberedChannelState], dict[str, Atomic[Any] | Shared[Any]]]:
    # Sorted by number, the order in which the collector has them does not matter.
    channels: list[tuple[int, NumberedChannelState]] = []
    cells: list[tuple[int, Atomic[Any] | Shared[Any]]] = []
    for one in living:
        kind = type(one)
        if kind is NumberedChannelState:
            if one.serial == loop.serial:
                channels.append((one.number, one))
        elif (kind is Atomic or kind is Shared) and one._serial == loop.serial:
            cells.append((one._number, one))
    labels = loop.object_labels
    return (
        {labels[number]: state for number, state in sorted(channels, key=lambda item: item[0])},
        {labels[number]: cell for number, cell in sorted(cells, key=lambda item: item[0])},
    )
