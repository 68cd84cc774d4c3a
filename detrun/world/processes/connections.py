"""Connections of ``multiprocessing`` over simulated pipes, which are used once more when they are collected.

A thread pool is collected after its run, where the number means nothing any more, or a pipe of another run. So a
connection that was made in a run sends and closes in that run only. The class is changed for good, by the first pipe of
a process that has imported it.
"""

from __future__ import annotations

import sys
from typing import Any

from detrun_scheduler import current

_MODULE = "multiprocessing.connection"
_SERIAL = "_run_of_detrun"


def spare_connections() -> None:
    """Have connections know their runs; further calls do nothing."""
    module: Any = sys.modules.get(_MODULE)
    kind: Any = getattr(module, "_ConnectionBase", None)
    if kind is None or hasattr(kind, _SERIAL):
        return
    setattr(kind, _SERIAL, None)
    made, collected, sends = kind.__init__, kind.__del__, kind.send_bytes

    def __init__(self: Any, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        if current.run is not None:
            setattr(self, _SERIAL, current.run.serial)

    def __del__(self: Any) -> None:
        if _is_usable(self):
            collected(self)

    def send_bytes(self: Any, *arguments: Any, **named: Any) -> None:
        if _is_usable(self):
            sends(self, *arguments, **named)

    kind.__init__, kind.__del__, kind.send_bytes = __init__, __del__, send_bytes


def _is_usable(connection: Any) -> bool:
    serial = getattr(connection, _SERIAL)
    return serial is None or (current.run is not None and current.run.serial == serial)
