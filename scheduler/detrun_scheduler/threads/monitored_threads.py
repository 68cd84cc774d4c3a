"""Interruption of simulated threads by `sys.monitoring`, for Python 3.12 and later; see `preemption`.

Code that is not watched costs nothing once it has been seen. The rule: tools of other programs are not disturbed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

from greenlet import getcurrent

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.errors import UsageError
from detrun_scheduler.threads.interrupted_code import POINT, TRAP, InterruptedCode, call_tracing, serves_scheduler
from detrun_scheduler.threads.simulated_thread import SimulatedThread, ThreadsOfRun
from detrun_scheduler.trio_host.private import CONTEXT
from detrun_scheduler.user_code import line_at

_INSTRUCTION = 2  # bytes


class Monitoring:
    """Preemption by `sys.monitoring`, for Python 3.12 and later.

    A function's start is looked at once: if it is watched, its lines or instructions are switched on, for it alone.
    Instructions that are not schedule points are switched off again, each at its first execution.

    A function that begins its work in the line in which it starts, as a lambda does, has an event of that line in the
    call that switches it on, and in none after that. Which call that is depends on what ran before, so it is left out.
    """

    def __init__(self, preemption: InterruptedCode) -> None:
        self.preemption = preemption
        self.tool = -1
        self.switched_on: list[CodeType] = []
        self.begun_at: dict[int, int] = {}  # address of code with such an event -> where it is

    def install(self) -> None:
        """Take a tool number of the interpreter.

        Raises:
            UsageError: all are taken.
        """
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]  # Python 3.12
        events = monitoring.events
        free = [tool for tool in (4, 3, 2, 1, 0) if monitoring.get_tool(tool) is None]
        if not free:
            raise UsageError("sys.monitoring has no free tool number for preemption; switch a debugger or profiler off")
        self.tool = free[0]
        monitoring.use_tool_id(self.tool, "detrun")
        # What was switched off at places may be left from an earlier installation under this number.
        monitoring.restart_events()
        event = events.INSTRUCTION if self.preemption.by_opcode else events.LINE
        monitoring.register_callback(self.tool, event, self._callback())
        monitoring.register_callback(self.tool, events.PY_START, self._on_start(event))
        monitoring.set_events(self.tool, events.PY_START)

    def remove(self) -> None:
        """Give the tool number back."""
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]  # Python 3.12
        events = monitoring.events
        monitoring.set_events(self.tool, 0)
        for code in self.switched_on:
            monitoring.set_local_events(self.tool, code, 0)
        self.switched_on.clear()
        self.begun_at.clear()
        for event in (events.INSTRUCTION, events.LINE, events.PY_START):
            monitoring.register_callback(self.tool, event, None)
        monitoring.free_tool_id(self.tool)
        self.tool = -1

    def begin_run(self, threads: ThreadsOfRun) -> None:
        """Nothing: the callbacks ask who is running."""

    def end_run(self) -> None:
        """Nothing."""

    def _on_start(self, event: int) -> Callable[[CodeType, int], Any]:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]  # Python 3.12
        points_of = self.preemption.points_of
        disable = monitoring.DISABLE if self.preemption.looks_once else None
        by_opcode = self.preemption.by_opcode

        def on_start(code: CodeType, start: int) -> Any:
            frame = sys._getframe(1)
            if points_of(frame) is not None:
                self.switched_on.append(code)
                if not by_opcode and line_at(code, start) == line_at(code, start + _INSTRUCTION):
                    self.begun_at[address_of(code)] = start + _INSTRUCTION
                monitoring.set_local_events(self.tool, code, event)
            return disable

        return on_start

    def _callback(self) -> Callable[[CodeType, int], Any]:
        monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]  # Python 3.12
        preemption, known, disable = self.preemption, self.preemption.points, monitoring.DISABLE
        by_opcode, standard, begun_at = self.preemption.by_opcode, self.preemption.standard, self.begun_at

        def on_event(code: CodeType, place: int) -> Any:
            # For a line, ``place`` is its number; for an instruction, its offset.
            if by_opcode:
                here: int = known[address_of(code)][place]  # type: ignore[index]  # watched, so it has points
            else:
                here = preemption.is_point(code, place) and begun_at.get(address_of(code)) != sys._getframe(1).f_lasti
            if not here:
                return disable
            thread = getcurrent()
            if type(thread) is SimulatedThread and not thread.dying:
                if standard and address_of(code) in standard and serves_scheduler(sys._getframe(1)):
                    return None
                if here == POINT and preemption.interrupts():
                    call_tracing(thread.give_way, TRAP)
                    del CONTEXT.task
                if preemption.observer is not None:
                    preemption.observer.about_to_run(sys._getframe(1), place)
            return None

        return on_event
