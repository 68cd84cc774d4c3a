"""The I/O manager of a run: real file descriptors are refused, simulated sockets may be waited for."""

from __future__ import annotations

from typing import Any, NoReturn

from detrun_scheduler.environment.hidden_state import refuse


class NoStatistics:
    """The I/O statistics of a run without I/O."""

    backend = "detrun"
    tasks_waiting_read = 0
    tasks_waiting_write = 0


NO_STATISTICS = NoStatistics()


class NoInputOutput:
    """Stands where trio keeps its epoll: every request to wait for the operating system is refused by name.

    A simulated socket may be waited for: an object that has it as its attribute ``simulated``, or its number.
    """

    def __init__(self) -> None:
        self.sockets: dict[int, Any] = {}  # by number, while a simulated network is there

    def close(self) -> None:
        """Called by trio at the end; holds nothing that would have to be closed."""

    def force_wakeup(self) -> None:
        """Called by trio when a task becomes runnable in guest mode."""

    def _refuse(self, call: str) -> NoReturn:
        refuse(
            f"trio.lowlevel.{call}",
            "when a real file descriptor becomes ready is not deterministic; use memory channels or the simulated "
            "network of a detrun.World, or do the I/O before or after the run",
        )

    def _simulated(self, fd: Any) -> Any:
        return self.sockets.get(fd) if isinstance(fd, int) else getattr(fd, "simulated", None)

    async def wait_readable(self, fd: Any) -> None:
        simulated = self._simulated(fd)
        if simulated is None:
            self._refuse("wait_readable")
        await simulated.wait_readable()

    async def wait_writable(self, fd: Any) -> None:
        simulated = self._simulated(fd)
        if simulated is None:
            self._refuse("wait_writable")
        await simulated.wait_writable()

    def notify_closing(self, fd: Any) -> None:
        """Wake the tasks that wait for a simulated socket; no task can be waiting for a real file."""
        simulated = self._simulated(fd)
        if simulated is not None:
            simulated.notify_closing()
