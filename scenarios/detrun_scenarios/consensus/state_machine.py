"""The state machine that is replicated: numbers by key, with client sessions that make each request count once.

A client opens a session and numbers its requests. The machine keeps, for each session, the number and the answer of the
last request it has carried out: a repetition gets the same answer and changes nothing. The number of sessions is
bounded; the one that was used longest ago goes first, on all servers alike, for it is a function of the log. A request
of a session that is gone is refused, because it might be a repetition.

Rule: the state is a function of the sequence of commands, and nothing else.

Source: Ongaro 2014, section 6.3.
"""

from __future__ import annotations

import msgpack

from detrun_scenarios.consensus.core.entries import Command

SESSIONS_MAX = 64

EXPIRED = "session expired"


class StateMachine:
    """Values and sessions after some commands.

    Attributes:
        values: by key; a key that was never written has 0.
        sessions: session -> (number of its last request, answer), the one used longest ago first.
        repetitions: how many commands were found to have been carried out before; no part of the state.
    """

    def __init__(self) -> None:
        self.values: dict[str, int] = {}
        self.sessions: dict[str, tuple[int, int]] = {}
        self.repetitions = 0

    def apply(self, command: Command) -> int | str:
        """Carry out a command, once; its answer."""
        session, number = command.session, command.number
        # A late copy of an "open" is a repetition, too: it must not make the session forget its last request.
        if session in self.sessions and self.is_repeated(session, number):
            self.repetitions += 1
            return self.sessions[session][1]
        if command.operation == "open":
            self._remember(session, number, 0)
            return 0
        if session not in self.sessions:
            return EXPIRED
        answer = self._carry_out(command)
        self._remember(session, number, answer)
        return answer

    def is_repeated(self, session: str, number: int) -> bool:
        """Whether a request of a known session was carried out before."""
        return number <= self.sessions[session][0]

    def _carry_out(self, command: Command) -> int:
        before = self.values.get(command.key, 0)
        after = command.value + (before if command.operation == "add" else 0)
        self.values[command.key] = after
        return after

    def _remember(self, session: str, number: int, answer: int) -> None:
        self.sessions.pop(session, None)
        self.sessions[session] = (number, answer)
        if len(self.sessions) > SESSIONS_MAX:
            del self.sessions[next(iter(self.sessions))]

    def read(self, key: str) -> int:
        """The value of a key."""
        return self.values.get(key, 0)

    def to_bytes(self) -> bytes:
        """The whole state, for a snapshot. Equal states give equal bytes."""
        data: bytes = msgpack.packb([sorted(self.values.items()), list(self.sessions.items())])
        return data

    def restore(self, data: bytes) -> None:
        """Take over the state of a snapshot."""
        values, sessions = msgpack.unpackb(data)
        self.values = dict(values)
        self.sessions = {session: (number, answer) for session, (number, answer) in sessions}
