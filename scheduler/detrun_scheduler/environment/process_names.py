"""Processes, pipes and signals inside a run: names of `os`, `signal` and `atexit` that mean simulated ones.

What simulates them stands in a room above, and says by `lead_to` what answers the code that calls, by the name of the
function. A function for which there is no answer is the original. `fork_exec` and the functions of `signal` that a run
refuses ask here first (`hidden_state`).

The rule is that of `ReplacedNames`: a replacement decides by who calls.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # private, and known to no stubs
import atexit
import os
import signal
import subprocess
from collections.abc import Callable
from functools import update_wrapper
from types import ModuleType
from typing import Any

from detrun_scheduler.environment.replaced_names import ReplacedNames, ReplacedTogether

PROCESS_CALLS = (
    *("_exit", "getpgid", "getpid", "getppid", "kill", "killpg", "pidfd_open", "pipe", "pipe2", "putenv", "unsetenv"),
    *("wait", "wait3", "wait4", "waitid", "waitpid", "abort", "getpgrp", "getsid", "setpgid", "setpgrp", "setsid"),
    "nice",
)
SIGNAL_CALLS = (
    "getitimer",
    "getsignal",
    "pidfd_send_signal",
    "pthread_sigmask",
    "raise_signal",
    "set_wakeup_fd",
    "siginterrupt",
    "signal",
    "sigpending",
)
EXIT_CALLS = ("register", "unregister")

_answer_to: Callable[[str], Any] | None = None


def lead_to(answer_to: Callable[[str], Any] | None) -> None:
    """Let ``answer_to(name)``, where it is not None, be called in place of the function ``name``."""
    global _answer_to
    _answer_to = answer_to


def simulated(name: str) -> Any:
    """What simulates the function ``name`` for the code that calls; None where nothing does."""
    return None if _answer_to is None else _answer_to(name)


def _getsignal(signalnum: Any) -> Any:
    """``signal.getsignal``, which in its own way tries to make an enum of a function, for 6 µs of a small run."""
    handler = _signal.getsignal(signalnum)
    return handler if callable(handler) else _GROUPS[signal].originals["getsignal"](signalnum)


_QUICKER = {"getsignal": _getsignal}


def _by_caller(module: ModuleType, name: str) -> Callable[..., Any]:
    quicker = _QUICKER.get(name)

    def call(*arguments: Any, **named: Any) -> Any:
        function = simulated(name) or quicker
        return (_GROUPS[module].originals[name] if function is None else function)(*arguments, **named)

    return update_wrapper(call, vars(module)[name])


def _replaced(module: ModuleType, names: tuple[str, ...]) -> ReplacedNames:
    found = {name: _by_caller(module, name) for name in names if name in vars(module)}
    return ReplacedNames(module, found, may_stay=True)


_GROUPS = {
    os: _replaced(os, PROCESS_CALLS),
    signal: _replaced(signal, SIGNAL_CALLS),
    atexit: _replaced(atexit, EXIT_CALLS),
}
# `subprocess` has two ways to start a process, of which one is simulated.
_ONE_WAY = ReplacedNames(subprocess, {"_USE_POSIX_SPAWN": False}, may_stay=True)
GROUP = ReplacedTogether(*_GROUPS.values(), _ONE_WAY)
SOURCES = tuple((module, tuple(group.originals)) for module, group in _GROUPS.items())
"""The modules and the names in them, for code that took a function before the run."""


def replacement(module: ModuleType, name: str) -> Callable[..., Any] | None:
    """What stands for the function in runs; None where this platform has none."""
    found: Any = _GROUPS[module].replacements.get(name)
    return found  # type: ignore[no-any-return]  # names may be replaced by anything, these by functions


def original(module: ModuleType, name: str) -> Callable[..., Any]:
    """The real function."""
    found: Callable[..., Any] = _GROUPS[module].originals[name]
    return found
