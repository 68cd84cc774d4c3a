"""Sessions and groups of processes, in the code of one process; methods have the names in ``os``.

Sessions and groups are one: a process leads one (`Process.has_session`) or belongs to that of the nearest process above
it that does. So a process leaves the group that it was started in, and joins no other.

Source: setsid(2), setpgid(2), killpg(3); the difference is the last sentence.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from detrun.world.network.posix import os_error
from detrun.world.processes.signal_handlers import check_signal
from detrun_scheduler.threads.calling import schedule_point


class ProcessGroups(ABC):
    """Calls about any group.

    Attributes:
        process: the one that calls.
    """

    process: Any

    @abstractmethod
    def _process(self, pid: int) -> Any:
        """The simulated process of that number; None if there is none."""

    @abstractmethod
    def _send(self, number: int, targets: Iterable[Any], code: int = 0) -> None:
        """Send a signal to processes."""

    @abstractmethod
    def _group_of_other(self, pid: int) -> int:
        """The group of what is no simulated process."""

    def killpg(self, group: int, number: int, /) -> None:
        """As `os.killpg`, of a process with a session of its own and of all below it that have none."""
        schedule_point()
        check_signal(number)
        leader = self._process(group)
        if leader is None or not leader.has_session:
            raise os_error(errno.ESRCH)
        others = (one for one in leader.node.processes.values() if one is not leader)
        self._send(number, [leader, *(one for one in others if _leader_of(one) is leader)])

    def getpgid(self, pid: int, /) -> int:
        """As `os.getpgid`: that of the nearest process with a session of its own."""
        process = self._process(pid)
        if process is None:
            return self._group_of_other(pid)
        return int(_leader_of(process).pid)


class OwnGroup(ProcessGroups):
    """Calls about the group of the calling process."""

    def getpgrp(self) -> int:
        """As `os.getpgrp`."""
        return self.getpgid(self.process.pid)

    def getsid(self, pid: int, /) -> int:
        """As `os.getsid`: sessions and groups of processes are one."""
        return self.getpgid(pid or self.process.pid)

    def setsid(self) -> int:
        """As `os.setsid`.

        Raises:
            PermissionError: it leads a session already.
        """
        if self.process.has_session:
            raise os_error(errno.EPERM)
        self.process.has_session = True
        return int(self.process.pid)

    def setpgrp(self) -> None:
        """As `os.setpgrp`."""
        self.process.has_session = True

    def setpgid(self, pid: int, pgrp: int, /) -> None:
        """As `os.setpgid`, of a process that begins a group of its own.

        Raises:
            OSError: ESRCH, there is no such process; EPERM, it would join the group of another.
        """
        target = self._process(pid or self.process.pid)
        if target is None:
            raise os_error(errno.ESRCH)
        if pgrp not in (0, target.pid, _leader_of(target).pid):
            raise os_error(errno.EPERM)
        target.has_session = target.has_session or pgrp in (0, target.pid)


def _leader_of(process: Any) -> Any:
    """The nearest process with a session of its own, from this one upwards."""
    while not process.has_session:
        process = process.parent
    return process
