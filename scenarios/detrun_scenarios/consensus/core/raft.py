"""`Raft`: one server with all of its layers, and the table of what each message does.

The layers, from the bottom: `Server` (state), `Elections`, `Commitment`, `Replication`, `Snapshots`, `Rounds`, `Reads`,
`Membership`, `Transfer`. Each is a chapter of the dissertation, in a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from detrun_scenarios.consensus.core.messages import (
    Appended,
    AppendEntries,
    InstallSnapshot,
    Message,
    PieceReceived,
    RequestVote,
    TimeoutNow,
    Vote,
)
from detrun_scenarios.consensus.core.transfer import Transfer

_METHODS: Final[dict[type, str]] = {
    AppendEntries: "on_append_entries",
    Appended: "on_appended",
    RequestVote: "on_request_vote",
    Vote: "on_vote",
    InstallSnapshot: "on_install_snapshot",
    PieceReceived: "on_piece_received",
    TimeoutNow: "on_timeout_now",
}


class Raft(Transfer):
    """One server of a cluster."""

    def step(self, message: Message) -> None:
        """A message of another server has come."""
        method: Callable[[Any], None] = getattr(self, _METHODS[type(message)])
        method(message)
