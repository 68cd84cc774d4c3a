"""What ``platform`` says of the machine in a run: the same in each, whatever was asked before.

The module keeps its first answer as long as the process lives: the host name, which a node of a world may have given,
and the name of the processor, for which it starts a program. In a run every question is the first one, and no program
is started.
"""

from __future__ import annotations

import platform

from detrun_scheduler.environment.replaced_names import ReplacedNames

_MACHINE = platform.uname()  # kept by the module from now on


class _Processor:
    """What ``platform`` asks for the name of the processor."""

    @staticmethod
    def get() -> str:
        """Unknown, as most systems say."""
        return ""


def uname_of(host: str) -> platform.uname_result:
    """What ``platform.uname()`` says on a machine like this one of the name ``host``."""
    system, release, version, machine = _MACHINE.system, _MACHINE.release, _MACHINE.version, _MACHINE.machine
    return platform.uname_result(system, host, release, version, machine)


def _uname() -> platform.uname_result:
    return uname_of(_MACHINE.node)


GROUP = ReplacedNames(platform, {"uname": _uname, "_Processor": _Processor}, may_stay=True)
