"""Real paths at which C and C++ code finds the content of a file of a node's disk.

The file is one of Linux in memory (``memfd_create``), with a copy of the content. A path at which nothing is on the
disk reaches the code as it is, and means a real file; so do all paths elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from detrun_scheduler.environment import file_names


@contextmanager
def path_for_c(path: Any) -> Iterator[Any]:
    """A real path at which C code finds what ``path`` means to the code that calls, until the block is left."""
    files = None if file_names.files_here is None else file_names.files_here()
    if files is None or path is None or not hasattr(os, "memfd_create") or not files.on_disk(path):
        yield path
        return
    with files.builtin_open(path, "rb") as file:
        content = memoryview(file.read())
    number = os.memfd_create("detrun")
    try:
        while content:
            content = content[file_names.original("write")(number, content) :]
        yield f"/proc/self/fd/{number}"
    finally:
        file_names.original("close")(number)
