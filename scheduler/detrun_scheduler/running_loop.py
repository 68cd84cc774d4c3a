"""The event loop of asyncio of which a step is running, for rooms that do not import asyncio.

`asyncio_host` says how it is found, when it is imported. An event loop that no run simulates is passed over: the caller
of a run may be a task of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _none() -> None:
    """In a process that has not imported asyncio no loop is running."""


_running: Callable[[], Any] = _none
_simulated: type = object


def know_loops(running: Callable[[], Any], simulated: type) -> None:
    """Ask ``running`` for the loop of which a step is running, which counts if it is of the class ``simulated``."""
    global _running, _simulated
    _running, _simulated = running, simulated


def running_loop() -> Any:
    """The simulated event loop of which a step is running; None where trio's code or a thread runs."""
    loop = _running()
    return loop if isinstance(loop, _simulated) else None
