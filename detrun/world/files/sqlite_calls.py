"""Calls of ``sqlite3`` in the code of a node: where a database is, and what surrounds each call.

The rule: whatever makes SQLite touch a file is a call here, so that `SqliteFiles` knows whose it is and takes its time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from detrun.world.files import sqlite_binding
from detrun.world.files.node_files import DISK_IS_EMPTY, NodeFiles
from detrun.world.files.sqlite_files import SqliteFiles


def location(files: NodeFiles, database: Any, is_uri: bool) -> str:
    """The URI of a database on the node's disk, or of a real one that nodes can read."""
    sqlite_binding.register()
    path = os.fsdecode(database)
    if is_uri and path.startswith("file:"):
        return f"{path}{'&' if '?' in path else '?'}vfs={sqlite_binding.NAME}"
    if path and path != ":memory:":
        where = files.led(path)
        if files.is_real(where):
            return f"file:{quote(where)}?mode=ro&immutable=1"
        files.make_way(where)
    return f"file:{quote(path)}?vfs={sqlite_binding.NAME}"


def call(files: NodeFiles, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Make a call of ``sqlite3``, and take the time of what it has done on the disk."""
    sqlite = files.sqlite
    if sqlite is None:
        sqlite = files.sqlite = SqliteFiles(files)
    sqlite.calls += 1
    try:
        return function(*arguments)
    except Exception as error:
        if str(error) == "unable to open database file":
            error.add_note(DISK_IS_EMPTY.format(files.node))
        raise
    finally:
        sqlite.calls -= 1
        failure, sqlite.failure = sqlite.failure, None
        if not sqlite.calls:
            sqlite.settle()
        if failure is not None:
            raise failure
