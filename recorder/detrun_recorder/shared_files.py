"""Files that several processes may want: written whole or not at all, and held by one process at a time.

`write_whole` writes beside the file, under a name of its own, and renames: readers and other writers see the old file
or the new one. `open_alone` and `held` take an advisory lock (``flock``), which the system drops when its process
ends, however it ends. Where a file system has no locks, both go on without.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from detrun_scheduler.errors import UsageError

_numbers = count()  # with the process id, this makes temporary names unique
_HELD = (errno.EAGAIN, errno.EACCES)


def write_whole(path: str | os.PathLike[str], parts: Iterable[bytes]) -> None:
    """Write ``parts`` to ``path``; of two processes that do so at once the later one's file stays.

    Raises:
        OSError: it cannot be written; what was there before is still there.
    """
    target = Path(path)
    # Short and of its own: a name may be as long as the file system allows already.
    partial = target.with_name(f".{os.getpid()}-{next(_numbers)}.part")
    try:
        with open(partial, "wb") as file:
            for part in parts:
                file.write(part)
        os.replace(partial, target)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def open_alone(path: str | os.PathLike[str]) -> BinaryIO:
    """Open ``path`` for writing and empty it, unless another writer has it.

    Raises:
        UsageError: another process, or another `Writer` of this one, is writing it.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            if not _locked(descriptor):
                raise UsageError(
                    f"cannot write the recording to {os.fspath(path)}: another process is recording to it; "
                    "wait for that one, or record to another file"
                )
            os.ftruncate(descriptor, 0)
        return os.fdopen(descriptor, "wb")
    except BaseException:
        os.close(descriptor)
        raise


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold the lock file ``path`` for the length of a block, and remove it then; False: another process holds it."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            yield True  # what cannot be written is told of by those who write
            return
        if not _locked(descriptor):
            os.close(descriptor)
            yield False
            return
        with suppress(OSError):
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                break
        os.close(descriptor)  # its holder removed it between our opening and our locking it
    try:
        yield True
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def unwritable(directory: Path) -> str:
    """Why nothing can be written below ``directory``, in words; empty if it can. Leaves nothing behind."""
    existing = directory
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    probe = existing / f".{os.getpid()}-{next(_numbers)}.part"
    try:
        try:
            with open(probe, "xb") as file:
                file.write(bytes(4096))
        finally:
            with suppress(OSError):
                probe.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD
    return True
