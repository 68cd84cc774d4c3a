"""`DatabaseConnection`: one TCP connection to the database, by a protocol of lines; one question at a time.

A question is a line, and so is its answer; neither carries a number. Answers come in the order of the questions, so
whoever asks while an answer is due would read that one. A caller that is cancelled between a question and its answer
leaves the connection in that state: `is_usable` is false from then on.
"""

from __future__ import annotations

import sys

import trio

from detrun.checkers.transactions import Place, noted_place
from detrun_scenarios.web_server.addresses import DATABASE, DATABASE_PORT
from detrun_scenarios.web_server.backend.lines import Lines
from detrun_scenarios.web_server.errors import BackendError


class DatabaseConnection:
    """See the module.

    Attributes:
        is_open: until it is closed or found broken.
        went_back_in: where it went back to the pool last.
        mixed: where it had gone back with an answer due, and where the next question was asked then; None: nowhere.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._lines = Lines(stream)
        self._is_due = False  # an answer
        self.is_open = True
        self.went_back_in: Place | None = None
        self.mixed: tuple[Place | None, Place | None] | None = None

    @property
    def is_usable(self) -> bool:
        """Whether the next question would get its own answer."""
        return self.is_open and not self._is_due

    async def ask(self, line: str) -> str:
        """Send a line without its newline, and return the line that answers.

        Raises:
            BackendError: the connection broke.
        """
        self._expect_answer()
        try:
            await self._stream.send_all(line.encode() + b"\n")
            answer = await self._lines.next()
        except trio.BrokenResourceError as error:
            self.close()
            raise BackendError(f"the connection broke: {error}") from error
        if answer is None:
            self.close()
            raise BackendError("the database has closed the connection")
        self._is_due = False
        return answer

    def _expect_answer(self) -> None:
        if self._is_due:
            self.mixed = self.went_back_in, noted_place(sys._getframe(1), is_done_here=True)
        self._is_due = True

    def close(self) -> None:
        """Close it at once, without waiting for the peer."""
        self.is_open = False
        self._stream.socket.close()


async def connect() -> DatabaseConnection:
    """A new connection to the database.

    Raises:
        OSError: the database does not listen, or cannot be reached.
    """
    return DatabaseConnection(await trio.open_tcp_stream(DATABASE, DATABASE_PORT))
