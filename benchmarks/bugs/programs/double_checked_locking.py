"""Double-checked locking: the instance is published before it is ready.

Source: Bacon et al., "The 'Double-Checked Locking is Broken' Declaration", 2000. The bug: one thread is inside the
lock and has assigned the instance but not finished it; another finds it assigned, does not wait, and uses it.

Departures: in Java the two writes are reordered by compiler or memory; Python does not do that, so here they stand in
the wrong order in the source, as they do when a connection is made first and opened afterwards.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check


class Connection:
    """Something that takes two steps to make."""

    def __init__(self) -> None:
        self.is_open = False

    def open(self) -> None:
        self.is_open = True

    def query(self) -> None:
        assert self.is_open, "used before it was opened"


class Holder:
    """Makes the connection when it is first wanted."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connection: Connection | None = None

    def get(self) -> Connection:
        if self.connection is None:
            with self.lock:
                if self.connection is None:
                    self.connection = Connection()
                    self.connection.open()
        return self.connection


class RightHolder(Holder):
    """The repair: assigned when it is ready."""

    def get(self) -> Connection:
        if self.connection is None:
            with self.lock:
                if self.connection is None:
                    connection = Connection()
                    connection.open()
                    self.connection = connection
        return self.connection


def use(holder: Holder) -> None:
    holder.get().query()


BUGGY = ThreadProgram(Holder, (use, use), nothing_to_check)
FIXED = ThreadProgram(RightHolder, (use, use), nothing_to_check)
