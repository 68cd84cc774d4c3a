"""Stores that are wrong, each in one method of the replica."""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.key_value.messages import NOTHING, Entry, Reply, Request, Write
from detrun_scenarios.key_value.replica import Replica


class HandOverIgnored(Replica):
    """A new primary believes its own disk and ignores what the majority hands over."""

    def count_promise(self, replica: int, entries: dict[str, Entry]) -> None:
        """See `Replica`."""
        super().count_promise(replica, {})


class ReadsAlone(Replica):
    """A primary answers reads by itself: one that is deposed and does not know it yet returns old values."""

    def serve(self, request: Request) -> None:
        """See `Replica`."""
        if self.primary and request.value is None:
            value = self.entries.get(request.key, NOTHING).value
            self.node.send(request.client, Reply(request.number, value))
            return
        super().serve(request)


class AcknowledgesEarly(Replica):
    """A primary acknowledges a write as soon as it has it on its own disk."""

    def serve(self, request: Request) -> None:
        """See `Replica`."""
        super().serve(request)
        if self.primary and request.value is not None:
            self.node.send(request.client, Reply(request.number, request.value))


class LateWriteUndoes(Replica):
    """A write that comes late, after its writer has gone on, is taken for a new one."""

    def serve(self, request: Request) -> None:
        """See `Replica`."""
        if not self.primary or request.value is None:
            super().serve(request)
            return
        self.operations += 1
        version = (self.promised, self.operations)
        entry = Entry(version, request.value, request.number)
        self.keep(request.key, entry)
        self.unfinished[version] = request, entry, {self.index}
        self.broadcast(Write(self.promised, request.key, entry))


BUGS: Mapping[str, type[Replica]] = {
    "hand_over_ignored": HandOverIgnored,
    "reads_alone": ReadsAlone,
    "acknowledges_early": AcknowledgesEarly,
    "late_write_undoes": LateWriteUndoes,
}
