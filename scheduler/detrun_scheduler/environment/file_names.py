"""`open`, `os` and `io` inside a run: who calls decides which file system they mean.

Code of a node of an open world means the node's disk; the world says which code that is, by `lead_to`, and answers its
calls. All other code means the real file system, by the original functions. Before both come the descriptors of
simulated pipes and sockets, of any code of the run, while a network is open (`lead_numbers_to`). The names are replaced
from the start of a run, so that functions that a module took by name before it (``from os import stat``) are found with
the others.

The functions below ``os.path``, ``pathlib``, ``shutil``, ``glob`` and ``tempfile`` are these, and they stay as they
are. The import system takes its own, from ``posix``, and always reads real files.

Cost: a call outside nodes takes one Python call more, 0.1 µs.
"""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from detrun_scheduler.environment.replaced_names import ReplacedNames, ReplacedTogether

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # so that it can be asked for

# Of `os`, what touches a file system or takes a descriptor.
FILE_CALLS = (
    *("access", "chdir", "chmod", "chown", "close", "closerange", "copy_file_range", "dup", "dup2", "fchdir", "fchmod"),
    *("fchown", "fdatasync", "fpathconf", "fstat", "fstatvfs", "fsync", "ftruncate", "get_blocking", "get_inheritable"),
    *("getcwd", "getcwdb", "getxattr", "isatty", "lchown", "link", "listdir", "listxattr", "lockf", "lseek", "lstat"),
    *("mkdir", "mkfifo", "mknod", "open", "pathconf", "posix_fadvise", "posix_fallocate", "pread", "preadv", "pwrite"),
    *("pwritev", "read", "readlink", "readv", "remove", "removexattr", "rename", "replace", "rmdir", "scandir"),
    *("sendfile", "set_blocking", "set_inheritable", "setxattr", "stat", "statvfs", "symlink", "sync", "truncate"),
    *("unlink", "utime", "write", "writev"),
)

files_here: Callable[[], Any] | None = None  # the files of the node whose code runs, None where there is no node


_STANDARD = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
# What a number means to the code that calls, where it is a simulated pipe or socket; it has `answer` and `opened`.
end_of: Callable[[int], Any] | None = None
_close_ends: Callable[[int, int], None] | None = None


def lead_numbers_to(found: Callable[[int], Any] | None, close: Callable[[int, int], None] | None) -> None:
    """Let what ``found(number)`` gives answer calls about a descriptor for which it is not None.

    ``close(low, high)`` closes what the calling code has between these numbers.
    """
    global end_of, _close_ends
    end_of, _close_ends = found, close


def _end_of_call(arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """The simulated end that a call is about; None for everything else."""
    assert end_of is not None
    first = arguments[0] if arguments else next(iter(named.values()), None)
    if type(first) is str:
        first = _STANDARD.get(first)
    return end_of(first) if type(first) is int else None


def lead_to(here: Callable[[], Any] | None) -> None:
    """Let what ``here()`` gives answer the calls of code for which it is not None, by its methods."""
    global files_here
    files_here = here


def is_on_a_disk(number: int) -> bool:
    """Whether a number means a file on the disk of the node whose code calls."""
    files = None if files_here is None else files_here()
    return files is not None and number in files.descriptors


def _open(*arguments: Any, **named: Any) -> Any:
    if end_of is not None:
        end = _end_of_call(arguments, named)
        if end is not None:
            return end.opened(*arguments, **named)
    if files_here is not None:
        files = files_here()
        if files is not None:
            return files.builtin_open(*arguments, **named)
    return _BUILTINS.originals["open"](*arguments, **named)


def _by_caller(name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        if end_of is not None:
            end = _end_of_call(arguments, named)
            if end is not None:
                return end.answer(name, *arguments[1:], **named)
        if files_here is not None:
            files = files_here()
            if files is not None:
                return files.answer(name, arguments, named)
        return _OS.originals[name](*arguments, **named)

    return update_wrapper(call, vars(os)[name])


def _dup2(fd: int, fd2: int, inheritable: bool = True) -> Any:
    """As `os.dup2`. A real file may take the place of a standard stream that a process shares with the run."""
    if end_of is not None and end_of(fd) is None and not is_on_a_disk(fd):
        replace = getattr(end_of(fd2), "replace", None)
        if replace is not None:
            return replace(fd)
    return _DUP2(fd, fd2, inheritable)


def _closerange(fd_low: int, fd_high: int, /) -> None:
    """As `os.closerange`. In code of a node what is real belongs to the run and stays open."""
    files = None if files_here is None else files_here()
    if _close_ends is not None:
        _close_ends(fd_low, fd_high)
    if files is not None:
        files.closerange(fd_low, fd_high)
    else:
        _OS.originals["closerange"](fd_low, fd_high)


def _umask(mask: int, /) -> int:
    """As `os.umask`, of a node's process where its code calls."""
    files = None if files_here is None else files_here()
    return int(_OS.originals["umask"](mask) if files is None else files.umask(mask))


_BUILTINS = ReplacedNames(builtins, {"open": update_wrapper(_open, open)}, may_stay=True)
_IO = ReplacedNames(io, {"open": _open}, may_stay=True)
_CALLS = {name: _by_caller(name) for name in FILE_CALLS if name in vars(os)}
_DUP2 = _CALLS["dup2"]
_CALLS["dup2"] = update_wrapper(_dup2, os.dup2)
_CALLS["closerange"] = update_wrapper(_closerange, os.closerange)
_CALLS["umask"] = update_wrapper(_umask, os.umask)
_OS = ReplacedNames(os, _CALLS, may_stay=True)
# Of `fcntl`, and what they are called here: the last is another than that of `os`.
_CONTROL = {"fcntl": "fcntl", "ioctl": "ioctl", "flock": "flock", "lockf": "record_lock"}


def _controlling(name: str) -> Callable[..., Any]:
    def call(file: Any, *arguments: Any) -> Any:
        if end_of is not None or files_here is not None:
            number = file if isinstance(file, int) else file.fileno()
            end = None if end_of is None else end_of(number)
            if end is not None:
                return end.answer(_CONTROL[name], *arguments)
            files = None if files_here is None else files_here()
            if files is not None and files.descriptors.has_given(number):
                return getattr(files, _CONTROL[name])(number, *arguments)
        assert _FCNTL is not None
        return _FCNTL.originals[name](file, *arguments)

    return call


_FCNTL = None if fcntl is None else ReplacedNames(fcntl, {name: _controlling(name) for name in _CONTROL}, may_stay=True)
GROUP = ReplacedTogether(_BUILTINS, _IO, _OS, *filter(None, (_FCNTL,)))
SOURCES: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (builtins, ("open",)),
    (os, tuple(_OS.originals)),
    *([] if fcntl is None else [(fcntl, tuple(_CONTROL))]),
)
"""The modules and the names in them, for code that took a function before the run."""


def can_as_much(names: ReplacedNames) -> None:
    """Have ``os.supports_follow_symlinks`` and the like name the replacements, too, of functions of ``os``.

    `shutil.copystat` asks at each call, and modules that are imported inside a run ask once.
    """
    able: Any
    for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        able.update(names.replacements[name] for name, original in names.originals.items() if original in able)


can_as_much(_OS)


def original(name: str) -> Callable[..., Any]:
    """The real function of ``os``, or of `fcntl` by its name here."""
    found: Callable[..., Any] | None = _OS.originals.get(name)
    if found is None:
        assert _FCNTL is not None
        found = next(_FCNTL.originals[known] for known, here in _CONTROL.items() if here == name)
    return found


def original_open() -> Any:
    """The real ``open``."""
    return _BUILTINS.originals["open"]
