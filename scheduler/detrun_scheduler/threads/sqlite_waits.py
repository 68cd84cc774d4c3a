"""`sqlite3` inside a run: a connection waits for a locked database in virtual time, while other threads run.

SQLite's own busy handler sleeps in C, where the simulated thread that holds the lock cannot go on. After the whole
time-out, in real time, it would report ``database is locked``, which no real program would see. So a connection that is
made in a run gets no busy handler. A call that fails for this reason (``SQLITE_BUSY``) is made again after the pauses
of SQLite's handler, until the connection's time-out is over in virtual time. ``PRAGMA busy_timeout`` sets that
time-out, too.

The rule: a call is made again only if it has changed nothing. ``executemany`` and ``executescript`` that were stopped
half-way raise at once. (SQLite reports a deadlock of two transactions without waiting; here that takes the time-out.)

Connections from before the run, and those of a ``factory`` that is not a class, keep the handler in C. The pauses are
those of ``sqliteDefaultBusyCallback`` in SQLite's main.c.
"""

from __future__ import annotations

import _thread
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from itertools import chain, repeat
from typing import Any, Literal

from detrun_scheduler.environment import hidden_state
from detrun_scheduler.environment.names_at_import import AwaitedImport
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.threads import sqlite_random
from detrun_scheduler.threads.calling import threads_of_call

# Of an open world: makes a call of ``sqlite3`` on the disk of the node whose code runs; where a database is there, as
# a URI, None where the code is on no node.
on_disk: Callable[[Callable[..., Any], tuple[Any, ...]], Any] | None = None


def _nowhere(database: Any, is_uri: bool) -> str | None:
    return None


location: Callable[[Any, bool], str | None] = _nowhere


def lead_to(
    calls: Callable[[Callable[..., Any], tuple[Any, ...]], Any] | None,
    locations: Callable[[Any, bool], str | None] = _nowhere,
) -> None:
    """Let calls of nodes' code be made by ``calls``, and connections lead where ``locations`` says."""
    global on_disk, location
    on_disk, location = calls, locations


_BUSY = 5  # SQLITE_BUSY; extended codes have more bits above these
_PAUSES = tuple(milliseconds / 1000 for milliseconds in (1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50))
_LONGEST_PAUSE = 0.1  # all further ones
_DEFAULT_TIMEOUT = 5.0
_PRAGMA = r"(\s*pragma\s+(?:\w+\s*\.\s*)?busy_timeout\s*[=(]\s*)(\d+)"


def _made(call: Callable[..., Any], *arguments: Any) -> Any:
    """Make a call of ``sqlite3``."""
    return call(*arguments) if on_disk is None else on_disk(call, arguments)


def _check_thread(connection: Any) -> None:
    """Refuse the calls of another thread, as ``sqlite3`` does, which knows threads by the operating system's.

    Raises:
        ProgrammingError: the connection was made for one thread, and this is another.
    """
    own = connection.detrun_thread
    if own is not None and own != (here := _thread.get_ident()):
        raise sys.modules["sqlite3"].ProgrammingError(
            "SQLite objects created in a thread can only be used in that same thread. The object was created in thread "
            f"id {own} and this is thread id {here}."
        )


def _waiting(connection: Any, call: Callable[..., Any], *arguments: Any) -> Any:
    """Make a call of ``sqlite3``, again and again while the database is locked by another connection."""
    _check_thread(connection)
    pauses: Iterator[float] | None = None
    waited = 0.0
    while True:
        changes = connection.total_changes
        try:
            return _made(call, *arguments)
        except sys.modules["sqlite3"].OperationalError as error:
            is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == _BUSY
            if not is_busy or threads_of_call() is None or connection.total_changes != changes:
                raise
            pauses = pauses or chain(_PAUSES, repeat(_LONGEST_PAUSE))
            pause = min(next(pauses), connection.detrun_timeout - waited)
            if pause <= 0:
                raise
        waited += pause
        time.sleep(pause)  # virtual: blocks the thread, or in a task the event loop, while threads run


@cache
def _cursor_class(kind: Any) -> Any:
    class Cursor(kind):  # type: ignore[misc]  # the base is the caller's, which no checker of types knows
        def execute(self, sql: str, *parameters: Any) -> Any:
            """As the original; waits in virtual time."""
            connection = self.connection
            found = re.match(_PRAGMA, sql, re.IGNORECASE) if isinstance(sql, str) else None
            if found is not None:
                connection.detrun_timeout = int(found[2]) / 1000
                sql = f"{found[1]}0{sql[found.end() :]}"
            return _waiting(connection, super().execute, sql, *parameters)

        def executemany(self, sql: str, parameters: Any, /) -> Any:
            """As the original; waits in virtual time."""
            return _waiting(self.connection, super().executemany, sql, list(parameters))

        def executescript(self, script: str, /) -> Any:
            """As the original; waits in virtual time."""
            return _waiting(self.connection, super().executescript, script)

        # What fetches the last row ends the statement, which may commit.

        def fetchone(self) -> Any:
            """As the original."""
            _check_thread(self.connection)
            return _made(super().fetchone)

        def fetchmany(self, *size: Any, **named: Any) -> Any:
            """As the original."""
            _check_thread(self.connection)
            return _made(partial(super().fetchmany, *size, **named))

        def fetchall(self) -> Any:
            """As the original."""
            _check_thread(self.connection)
            return _made(super().fetchall)

        def __next__(self) -> Any:
            _check_thread(self.connection)
            return _made(super().__next__)

    return _named_as(Cursor, kind)


@cache
def _connection_class(kind: Any, plain_cursor: Any) -> Any:
    class Connection(kind):  # type: ignore[misc]  # as above
        detrun_timeout = _DEFAULT_TIMEOUT
        detrun_thread: int | None = None  # the one that may use it; None for all

        def cursor(self, factory: Any = plain_cursor) -> Any:
            """As the original, of a class whose calls wait."""
            _check_thread(self)
            return super().cursor(_cursor_class(factory) if isinstance(factory, type) else factory)

        # In C these three make a cursor without asking `cursor`.

        def execute(self, *arguments: Any) -> Any:
            """As the original; waits in virtual time."""
            return self.cursor().execute(*arguments)

        def executemany(self, *arguments: Any) -> Any:
            """As the original; waits in virtual time."""
            return self.cursor().executemany(*arguments)

        def executescript(self, *arguments: Any) -> Any:
            """As the original; waits in virtual time."""
            return self.cursor().executescript(*arguments)

        def commit(self) -> None:
            """As the original; waits in virtual time."""
            _waiting(self, super().commit)

        def rollback(self) -> None:
            """As the original; waits in virtual time."""
            _waiting(self, super().rollback)

        def close(self) -> None:
            """As the original."""
            _waiting(self, super().close)

        def __exit__(self, kind: Any, error: Any, trace: Any) -> Literal[False]:
            if kind is not None:
                self.rollback()
                return False
            try:
                self.commit()
            except BaseException:
                self.rollback()  # so that the database is free
                raise
            return False

    return _named_as(Connection, kind)


def _named_as(replacement: Any, original: Any) -> Any:
    for name in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(replacement, name, getattr(original, name))
    return replacement


def _connect(database: Any, *arguments: Any, **options: Any) -> Any:
    module: Any = sys.modules["sqlite3"]
    # A program that kept this function from a run in which it imported `sqlite3` may call it outside of one.
    connect = _NAMES.of("connect") if _NAMES.groups else module.connect
    # By position, which Python 3.15 ends: timeout, detect_types, isolation_level, check_same_thread, factory.
    factory = arguments[4] if len(arguments) > 4 else options.get("factory", module.Connection)
    threads = threads_of_call()
    if threads is not None:
        sqlite_random.begin(threads)
    if threads is None or not isinstance(factory, type):
        return connect(database, *arguments, **options)
    timeout = arguments[0] if arguments else options.get("timeout", _DEFAULT_TIMEOUT)
    factory = _connection_class(factory, module.Cursor)
    if arguments:
        arguments = (0.0, *arguments[1:4], *((factory, *arguments[5:]) if len(arguments) > 4 else ()))
    else:
        options["timeout"] = 0.0
    if len(arguments) <= 4:
        options["factory"] = factory
    if on_disk is None:
        connection = connect(database, *arguments, **options)
    else:
        is_uri = arguments[6] if len(arguments) > 6 else options.get("uri", False)
        place = location(database, is_uri)
        if place is not None:
            database = place
            if len(arguments) > 6:
                arguments = (*arguments[:6], True)
            else:
                options["uri"] = True
        with hidden_state.allowed():
            connection = on_disk(partial(connect, database, **options), arguments)
    connection.detrun_timeout = float(timeout)
    if arguments[3] if len(arguments) > 3 else options.get("check_same_thread", True):
        connection.detrun_thread = _thread.get_ident()
    return connection


class _Names:
    """The names of `sqlite3`, from its import on, which detrun does not cause: SQLAlchemy imports it as it connects."""

    def __init__(self) -> None:
        self.groups: list[ReplacedNames] = []
        self._import = AwaitedImport("_sqlite3", self._install_late)
        self._is_late = False  # whether it was imported within this run

    @property
    def stays(self) -> bool:
        """Whether the import is waited for until the campaign is over."""
        return self._import.stays

    def install(self) -> None:
        """Replace them, now or at the import."""
        if not self.groups:
            if "sqlite3" not in sys.modules:
                self._import.begin()
                return
            self._import.leave()
            modules = (sys.modules["sqlite3"], sys.modules["sqlite3.dbapi2"])
            self.groups = [ReplacedNames(module, {"connect": _connect}) for module in modules]
        for group in self.groups:
            group.install()

    def _install_late(self) -> None:
        self._is_late = True
        self.groups = [ReplacedNames(import_module("_sqlite3"), {"connect": _connect})]  # which `sqlite3` takes it from
        self.groups[0].install()

    def restore(self) -> None:
        """Put them back, or go on to wait for the import."""
        self._import.end_of_run()
        for group in reversed(self.groups):
            group.restore()
        if self._is_late:
            for name in ("sqlite3", "sqlite3.dbapi2"):
                if name in sys.modules:
                    vars(sys.modules[name])["connect"] = self.of("connect")
            self.groups, self._is_late = [], False

    def of(self, name: str) -> Any:
        """The original."""
        return self.groups[0].originals[name]


_NAMES = GROUP = _Names()
