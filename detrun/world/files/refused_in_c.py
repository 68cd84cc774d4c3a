"""Functions of the standard library that open paths in C, and announce it by no audit event: refused on nodes by name.

They would read and write real files past the node's disk. Elsewhere they do what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detrun_scheduler.environment import file_names
from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.environment.names_at_import import ReplacedAtImport

_DATABASE = "it opens its file in C, past the disk of the node; use dbm.dumb, and shelve.Shelf(dbm.dumb.open(path))"
_LINES = "it opens its file in C, past the disk of the node; write and read it by open"
_FUNCTIONS = {
    "dbm.gnu": (("open",), _DATABASE),
    "dbm.ndbm": (("open",), _DATABASE),
    "readline": (("append_history_file", "read_history_file", "read_init_file", "write_history_file"), _LINES),
}


def _refused(module: str, name: str, way_out: str) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        files = None if file_names.files_here is None else file_names.files_here()
        if files is not None:
            refuse(f"{module}.{name} on node {files.node!r}", way_out)
        return _MODULES[module].originals[name](*arguments, **named)

    return call


_MODULES = {
    module: ReplacedAtImport(module, {name: _refused(module, name, way_out) for name in names})
    for module, (names, way_out) in _FUNCTIONS.items()
}


def install() -> None:
    """Refuse them on nodes, now or once code of the run imports their modules."""
    for names in _MODULES.values():
        names.install()


def restore() -> None:
    """Put everything back."""
    for names in _MODULES.values():
        names.restore()
