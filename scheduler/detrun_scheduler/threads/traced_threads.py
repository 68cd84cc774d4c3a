"""Interruption of simulated threads by ``sys.settrace``, for Python 3.11; see `preemption`.

A callback runs with tracing off, and a plain switch inside it would leave every other greenlet untraced. So the switch
goes through ``sys.call_tracing``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.threads.interrupted_code import POINT, TRAP, InterruptedCode, call_tracing, serves_scheduler
from detrun_scheduler.threads.simulated_thread import ThreadsOfRun
from detrun_scheduler.trio_host.private import CONTEXT


class Tracing:
    """Preemption by ``sys.settrace``, for Python 3.11.

    The trace function is on only while the function of a simulated thread runs: it is switched off before each switch
    to the loop and on again after it, a tenth of a microsecond. Were it on in the loop's greenlet, any exception
    there would have its code traced from then on, 0.7 µs for each call.
    """

    def __init__(self, preemption: InterruptedCode) -> None:
        self.preemption = preemption
        self.before: Any = None  # the trace function that was there, of coverage for instance; tasks keep it
        # Made once for all runs: each is a cycle of garbage.
        self.give_way: Callable[[Any], Any] | None = None
        self.on_call_alone: Any = None
        self.on_call: Any = None  # with `heard_by`

    def install(self) -> None:
        """Nothing outside of runs."""

    def remove(self) -> None:
        """Nothing outside of runs."""

    def begin_run(self, threads: ThreadsOfRun) -> None:
        """Trace every thread from its beginning."""
        self.before = sys.gettrace()
        if self.give_way != threads.give_way:
            self.give_way = threads.give_way
            self.on_call_alone = self._by_opcode() if self.preemption.by_opcode else self._by_line()
        heard_by = self.preemption.heard_by
        self.on_call = self.on_call_alone if heard_by is None else _both(self.on_call_alone, heard_by)
        threads.call_body, threads.untraced = self.call_body, self.untraced

    def end_run(self) -> None:
        """Put back what was there."""
        if sys.gettrace() is not self.before:
            sys.settrace(self.before)
        self.before = None

    def call_body(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Call the function of a thread with tracing on."""
        sys.settrace(self.on_call)
        try:
            return function(*arguments)
        finally:
            sys.settrace(self.before)

    def untraced(self, function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call something in a thread with tracing off."""
        active = sys.gettrace()  # off already where one such call makes another
        sys.settrace(self.before)
        try:
            return function(*arguments, **keywords)
        finally:
            sys.settrace(active)

    def _by_opcode(self) -> Callable[[FrameType, str, Any], Any]:
        preemption, points_of, give_way = self.preemption, self.preemption.points_of, self.give_way
        assert give_way is not None
        standard = preemption.standard
        tracers: dict[int, Callable[[FrameType, str, Any], Any] | None] = {}  # by the id of a code object
        set_trace = sys.settrace

        def tracer_of(frame: FrameType) -> Callable[[FrameType, str, Any], Any] | None:
            points = points_of(frame)

            def on_opcode(frame: FrameType, event: str, _: Any) -> Any:
                here = points[frame.f_lasti]  # type: ignore[index]  # watched, so it has points
                if here and event == "opcode":
                    if here == POINT and preemption.interrupts():
                        set_trace(self.before)
                        call_tracing(give_way, TRAP)
                        set_trace(self.on_call)
                        del CONTEXT.task
                    if preemption.observer is not None:
                        preemption.observer.about_to_run(frame, frame.f_lasti)
                return on_opcode

            tracer = tracers[address_of(frame.f_code)] = None if points is None else on_opcode
            return tracer

        def on_call(frame: FrameType, _: str, __: Any) -> Any:
            try:
                tracer = tracers[address_of(frame.f_code)]
            except KeyError:
                tracer = tracer_of(frame)
            if standard and tracer is not None and address_of(frame.f_code) in standard and serves_scheduler(frame):
                return None
            if tracer is not None:
                frame.f_trace_opcodes, frame.f_trace_lines = True, False
            return tracer

        return on_call

    def _by_line(self) -> Callable[[FrameType, str, Any], Any]:
        preemption, points_of, give_way = self.preemption, self.preemption.points_of, self.give_way
        assert give_way is not None
        standard = preemption.standard

        def on_line(_: FrameType, event: str, __: Any) -> Any:
            if event == "line" and preemption.interrupts():
                sys.settrace(self.before)
                call_tracing(give_way, TRAP)
                sys.settrace(self.on_call)
                del CONTEXT.task
            return on_line

        def on_some_line(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "line" and preemption.is_point(frame.f_code, frame.f_lineno):
                on_line(frame, event, argument)
            return on_some_line

        tracer = on_line if preemption.only_at is None else on_some_line

        def on_call(frame: FrameType, _: str, __: Any) -> Any:
            if points_of(frame) is None:
                return None
            if standard and address_of(frame.f_code) in standard and serves_scheduler(frame):
                return None
            return tracer

        return on_call


def _both(first: Callable[..., Any], second: Callable[..., Any]) -> Callable[[FrameType, str, Any], Any]:
    """One trace function for two. The first may switch, so the second, which reads variables, comes after it."""

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        local = [first(frame, event, argument), second(frame, event, argument)]
        if local == [None, None]:
            return None
        frame.f_trace_opcodes = frame.f_trace_lines = True

        def on_event(frame: FrameType, event: str, argument: Any) -> Any:
            for at, one in enumerate(local):
                if one is not None:
                    local[at] = one(frame, event, argument)
            return on_event

        return on_event

    return on_call
