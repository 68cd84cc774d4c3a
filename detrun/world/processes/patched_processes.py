"""The names that mean simulated pipes and processes lead here while a network is open, a world's or localhost's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from detrun.world.processes import trio_programs
from detrun.world.processes.calls import DriverCalls, calls_here
from detrun.world.processes.ends import calls_of, close_between
from detrun.world.processes.passing import hand_out
from detrun.world.sockets import passed_descriptors
from detrun_scheduler.environment import file_names
from detrun_scheduler.threads import localhost

_installed: Callable[[], Any] | None = None


def install(owner_here: Callable[[], Any]) -> None:
    """Let them mean what the process that ``owner_here`` gives has, until `restore`."""
    global _installed
    _installed = owner_here
    localhost.processes_here = partial(_calls, owner_here)
    file_names.lead_numbers_to(partial(_end, owner_here), partial(_close_between, owner_here))
    passed_descriptors.hand_out = hand_out
    trio_programs.NAMES.install()


def _calls(owner_here: Callable[[], Any]) -> DriverCalls:
    return calls_here(owner_here())


def _end(owner_here: Callable[[], Any], number: int) -> Any:
    return calls_of(owner_here(), number)


def _close_between(owner_here: Callable[[], Any], low: int, high: int) -> None:
    close_between(owner_here(), low, high)


def restore(owner_here: Callable[[], Any]) -> None:
    """Put everything back, if it was replaced for ``owner_here``."""
    global _installed
    if _installed == owner_here:
        _installed = localhost.processes_here = None
        trio_programs.NAMES.restore()
        passed_descriptors.hand_out = None
        file_names.lead_numbers_to(None, None)
