"""`HeardInstructions`: while it is entered, a listener hears of every instruction that the program's files run.

On Python 3.11 a trace function does that, which asks each frame for its instructions. From 3.12 on opcodes that
``sys.settrace`` promises get lost beside another tool of `sys.monitoring`, such as preemption; so this is a tool of its
own. Tools are called from the highest number to the lowest. Ours is the lowest that is free, so that a thread which
gives way before an instruction is heard when it goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType, TracebackType
from typing import Any

from detrun_scheduler.user_code import is_user_file

HAS_MONITORING = sys.version_info >= (3, 12)


@cache  # asked at every call while lines are heard
def has_source(file: str) -> bool:
    """Whether a file is of the program, and has lines to show."""
    # Generated code (of attrs, of dataclasses, of enum) has names in angle brackets and nothing to show.
    return bool(file) and not file.startswith("<") and is_user_file(file)


class HeardInstructions:
    """Calls ``listener(frame, offset)`` before every instruction of files for which ``has_source`` answers yes."""

    def __init__(self, listener: Callable[[FrameType, int], None], has_source: Callable[[str], bool]) -> None:
        self.listener = listener
        self.has_source = has_source
        self.tool = -1
        self.codes: list[CodeType] = []

    def __enter__(self) -> HeardInstructions:
        if HAS_MONITORING:
            monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
            self.tool = next((tool for tool in range(5) if monitoring.get_tool(tool) is None), -1)
            if self.tool >= 0:
                self._install(monitoring)
        return self

    def _install(self, monitoring: Any) -> None:
        tool, listener, has_source, codes = self.tool, self.listener, self.has_source, self.codes
        events, disable = monitoring.events, monitoring.DISABLE

        def on_start(code: CodeType, _: int) -> Any:
            if has_source(code.co_filename):
                codes.append(code)
                monitoring.set_local_events(tool, code, events.INSTRUCTION)
            return disable

        def on_instruction(_: CodeType, offset: int) -> None:
            listener(sys._getframe(1), offset)

        monitoring.use_tool_id(tool, "detrun narration")
        monitoring.restart_events()  # places that were switched off under this number before
        monitoring.register_callback(tool, events.PY_START, on_start)
        monitoring.register_callback(tool, events.INSTRUCTION, on_instruction)
        monitoring.set_events(tool, events.PY_START)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.tool >= 0:
            monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]
            monitoring.set_events(self.tool, 0)
            for code in self.codes:
                monitoring.set_local_events(self.tool, code, 0)
            for event in (monitoring.events.PY_START, monitoring.events.INSTRUCTION):
                monitoring.register_callback(self.tool, event, None)
            monitoring.free_tool_id(self.tool)
            self.tool = -1
