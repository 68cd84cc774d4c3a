"""StringBuffer of JDK 1.4: every method is synchronized, but `append` makes two calls on its argument.

Source: Flanagan and Qadeer, "A type and effect system for atomicity", PLDI 2003; SCTBench, CB.stringbuffer-jdk1.4. The
bug: after `append` has asked for the length of the other buffer, another thread deletes characters from it; then
`get_characters` is called with an end beyond the length, and raises.

Departures: the original's main thread is a worker here. The index error is Python's `IndexError`.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check


class StringBuffer:
    """A mutable string, each method under the buffer's own lock."""

    def __init__(self, text: str = "") -> None:
        self.lock = threading.RLock()
        self.characters = list(text)

    def length(self) -> int:
        with self.lock:
            return len(self.characters)

    def get_characters(self, begin: int, end: int) -> list[str]:
        with self.lock:
            if end > len(self.characters):
                raise IndexError(f"string index out of range: {end}")
            return self.characters[begin:end]

    def delete(self, begin: int, end: int) -> None:
        with self.lock:
            del self.characters[begin:end]

    def append_text(self, text: str) -> None:
        with self.lock:
            self.characters.extend(text)

    def append(self, other: "StringBuffer") -> None:
        with self.lock:
            length = other.length()
            self.characters.extend(other.get_characters(0, length))

    def append_atomically(self, other: "StringBuffer") -> None:
        """The repair: the other's lock is held through both calls."""
        with self.lock, other.lock:
            length = other.length()
            self.characters.extend(other.get_characters(0, length))


def shared_buffer() -> StringBuffer:
    return StringBuffer("abc")


def change(buffer: StringBuffer) -> None:
    buffer.delete(0, 3)
    buffer.append_text("abc")


def append(buffer: StringBuffer) -> None:
    StringBuffer().append(buffer)


def append_atomically(buffer: StringBuffer) -> None:
    StringBuffer().append_atomically(buffer)


BUGGY = ThreadProgram(shared_buffer, (change, append), nothing_to_check)
FIXED = ThreadProgram(shared_buffer, (change, append_atomically), nothing_to_check)
