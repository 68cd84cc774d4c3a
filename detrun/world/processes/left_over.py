"""Objects of the standard library that outlive their run and use a number once more when they are collected.

A connection of ``multiprocessing`` closes its descriptor, a ``Popen`` asks for its process. After the run that number
means nothing any more, or something real, or a pipe or a process of another run. So an object that was made in a run
does so in that run only. The classes are changed for good: ``Popen`` at the import of this module, since objects are to
know their run from the beginning, connections by the first pipe.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from detrun_scheduler import current

_CONNECTIONS = "multiprocessing.connection"
_SERIAL = "_run_of_detrun"
_POPEN: Any = subprocess.Popen


def _knowing_its_run(kind: Any) -> bool:
    """Let objects of a class know the run that they are made in; whether they do for the first time."""
    if hasattr(kind, _SERIAL):
        return False
    setattr(kind, _SERIAL, None)
    made = kind.__init__

    def __init__(self: Any, *arguments: Any, **named: Any) -> None:
        if current.run is not None:
            setattr(self, _SERIAL, current.run.serial)
        made(self, *arguments, **named)

    kind.__init__ = __init__
    return True


def _is_usable(made: Any) -> bool:
    serial = getattr(made, _SERIAL)
    return serial is None or (current.run is not None and current.run.serial == serial)


def spare_connections() -> None:
    """Have connections be used in their runs only; further calls do nothing."""
    kind: Any = getattr(sys.modules.get(_CONNECTIONS), "_ConnectionBase", None)
    if kind is None or not _knowing_its_run(kind):
        return
    collected, sends = kind.__del__, kind.send_bytes

    def __del__(self: Any) -> None:
        if _is_usable(self):
            collected(self)

    def send_bytes(self: Any, *arguments: Any, **named: Any) -> None:
        if _is_usable(self):
            sends(self, *arguments, **named)

    kind.__del__, kind.send_bytes = __del__, send_bytes


def _spare_processes() -> None:
    """Have ``Popen`` ask for its process in its run only."""
    _knowing_its_run(_POPEN)
    asks = _POPEN._internal_poll

    def _internal_poll(self: Any, *arguments: Any, **named: Any) -> Any:
        if _is_usable(self):
            return asks(self, *arguments, **named)
        if self.returncode is None:
            self.returncode = sys.maxsize  # what `Popen` says of a process that is not to be found
        return self.returncode

    _POPEN._internal_poll = _internal_poll


_spare_processes()
