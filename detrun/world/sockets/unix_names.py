"""Names of Unix sockets: what a program gives, what a machine's table has, what a recording has.

The folder for temporary files of the real machine has other names in each run, those of ``tempfile`` and of pytest's
``tmp_path``. A recording has what lies below it without them, so that another process can replay it. On nodes these
names are the run's, and stay.

Source: unix(7).
"""

from __future__ import annotations

import os
import re
import tempfile
from typing import Any

PATH_BYTES_MAX = 108

Name = str | bytes  # bytes if abstract

_NAMED_BY_TEMPFILE = re.compile(r"tmp[a-z0-9_]{8}")


def key_of(name: Any) -> Name:
    """What stands for ``name`` in the table of its machine: the absolute path, or the abstract name."""
    return name if isinstance(name, bytes) else os.path.abspath(name)


def name_of(address: Any) -> Name:
    """An address as ``bind`` and ``connect`` take it, as ``getsockname`` gives it back.

    Raises:
        TypeError: it is neither a text nor bytes.
        OSError: it is too long.
    """
    if isinstance(address, str):
        address = os.fsencode(address)
    if not isinstance(address, bytes | bytearray | memoryview):
        raise TypeError(f"a bytes-like object is required, not '{type(address).__name__}'")
    name = bytes(address)
    is_abstract = name.startswith(b"\0")
    if len(name) + (not is_abstract) > PATH_BYTES_MAX:
        raise OSError("AF_UNIX path too long")
    return name if is_abstract else os.fsdecode(name.partition(b"\0")[0])


def recorded(name: Name) -> Name:
    """``name``, which is none of a node's, as a recording has it."""
    folder = os.path.join(tempfile.gettempdir(), "")
    if isinstance(name, bytes) or not name.startswith(folder):
        return name
    below, base = os.path.split(name.removeprefix(folder))
    base = _NAMED_BY_TEMPFILE.sub("tmp...", base, count=1)
    return os.path.join(folder, "..." if below else "", base)
