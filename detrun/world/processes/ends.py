"""Descriptors of a process that mean ends of pipes or processes, and what any number means to it.

Numbers are those of the machine's sockets, so selectors and event loops find an end by its number. A child has its
standard streams under 0, 1 and 2, too.
"""

from __future__ import annotations

from typing import Any

from detrun.world.processes.end_calls import EndCalls, HeldCalls, PipeCalls
from detrun.world.processes.held_ends import HeldEnd
from detrun.world.processes.pipes import Pipe, PipeEnd
from detrun.world.processes.shared_streams import SharedStream
from detrun.world.processes.socket_calls import SocketCalls
from detrun.world.sockets.machine_sockets import Socket


class Ends:
    """The ends that one process has, by number."""

    def __init__(self, services: Any) -> None:
        self._services = services
        self._ends: dict[int, HeldEnd] = {}

    def __contains__(self, number: object) -> bool:
        return number in self._ends

    def get(self, number: int) -> HeldEnd | None:
        """The end of that number; None if the process has none there."""
        return self._ends.get(number)

    def new_pipe(self) -> tuple[int, int]:
        """Numbers of the read end and the write end of a new pipe."""
        pipe = Pipe(self._services)
        return self.add(PipeEnd(pipe, is_reading=True)), self.add(PipeEnd(pipe, is_reading=False))

    def add(self, end: HeldEnd) -> int:
        """Another number for an end."""
        number = end.new_number()
        self._ends[number] = end
        return number

    def inherit(self, number: int, end: HeldEnd) -> None:
        """Have an end under the number that it has in another process."""
        end.hold(number)
        self._ends[number] = end

    def receive(self, number: int, end: HeldEnd) -> None:
        """Have an end under a number that has been held for it."""
        self._ends[number] = end

    def replace(self, number: int, end: HeldEnd) -> None:
        """Have ``end`` under ``number`` in place of what it means."""
        if self._ends[number] is not end:
            self.drop(number)
            end.take_number(number)
            self._ends[number] = end

    def numbers(self) -> list[int]:
        """Those of all of them."""
        return list(self._ends)

    def drop(self, number: int) -> None:
        """Have it no more."""
        self._ends.pop(number).let_go(number)

    def close_all(self) -> None:
        """The process is over."""
        while self._ends:
            number, end = self._ends.popitem()
            end.let_go(number)


def ends_of(process: Any) -> Ends:
    """The ends of a process; from the first one on ``os`` asks for them."""
    if process.ends is None:
        process.ends = Ends(process.services)
    found: Ends = process.ends
    return found


def calls_of(process: Any, number: int) -> Any:
    """Calls about a number that means a pipe, a simulated socket or a standard stream to ``process``; None if not."""
    if process.standard:
        found = process.standard.get(number)
        if found is not None:
            if not isinstance(found, int):
                return found
            number = found
    if process.ends is not None:
        end = process.ends.get(number)
        if end is not None:
            return PipeCalls(process, number, end) if isinstance(end, PipeEnd) else HeldCalls(process, number, end)
    simulated = process.services.host.sockets.get(number)
    if isinstance(simulated, Socket):
        return SocketCalls(process, number, simulated) if simulated in process.sockets else None
    return SharedStream.of_run(process, number, number) if 0 <= number < 3 and not process.has_real_files else None


def close_between(process: Any, low: int, high: int) -> None:
    """As `os.closerange`, of what `calls_of` knows."""
    numbers = [0, 1, 2, *(one.descriptor for one in process.sockets)]
    numbers += () if process.ends is None else process.ends.numbers()
    for number in sorted(number for number in numbers if low <= number < high):
        calls = calls_of(process, number)
        if calls is not None and calls.is_open():  # two numbers may have meant one descriptor
            calls.answer("close")


class FileCallsOfStream(EndCalls):
    """A standard stream that is a file of the node."""

    def is_open(self) -> bool:
        """Whether the process still has the descriptor."""
        return self.number in self._process.files.descriptors

    def answer(self, name: str, *arguments: Any, **named: Any) -> Any:
        """What ``os.name(number, ...)`` gives."""
        return getattr(self._process.files, name)(self.number, *arguments, **named)

    def opened(self, file: Any, *arguments: Any, **named: Any) -> Any:
        """As the function ``open``."""
        return self._process.files.builtin_open(self.number, *arguments, **named)
