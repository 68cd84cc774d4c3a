"""The virtual file system ``detrun`` of the SQLite library that ``sqlite3`` uses, by ctypes.

SQLite calls back for each file; the callbacks find `SqliteFiles` by the process whose call of ``sqlite3`` is in
progress, and turn exceptions into SQLite's numbers. It is registered once in a process, at the first connection of a
node, and is never the default.

Source: sqlite3.h, ``sqlite3_vfs`` version 2 and ``sqlite3_io_methods`` version 2; what each method owes is said there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_double, c_int, c_int64, c_void_p
from typing import Any

from detrun.world.files.sqlite_files import SqliteFiles, TemporaryFile
from detrun.world.files.sqlite_locks import SHARED
from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.threads.sqlite_random import library

NAME = "detrun"
OK, BUSY, READONLY, IOERR, NOTFOUND, FULL, CANTOPEN = 0, 5, 8, 10, 12, 13, 14
_SHORT_READ, _NO_ENTRY = IOERR | 2 << 8, IOERR | 23 << 8
_OPEN_READWRITE, _OPEN_CREATE, _OPEN_DELETES, _OPEN_EXCLUSIVE = 2, 4, 8, 16
_OPEN_JOURNALS = 0x800 | 0x4000 | 0x80000  # main journal, super-journal, write-ahead log
_POWERSAFE_OVERWRITE = 0x1000
_SHM_UNLOCK, _SHM_EXCLUSIVE = 1, 8
_UNIX_EPOCH = 210_866_760_000_000  # in milliseconds of Julian days
_PATH_BYTES = 1024


def _no_files() -> SqliteFiles | None:
    return None


files_of_call = _no_files  # of the process whose code runs; an open world has another one
_opened: dict[int, Any] = {}  # by the number in a `_File`
_kept: list[Any] = []  # what C points to


class _File(ctypes.Structure):
    _fields_ = (("methods", c_void_p), ("number", c_int64))


_FILE = POINTER(_File)
_METHODS = (
    ("close", ()),
    ("read", (c_void_p, c_int, c_int64)),
    ("write", (c_void_p, c_int, c_int64)),
    ("truncate", (c_int64,)),
    ("sync", (c_int,)),
    ("file_size", (POINTER(c_int64),)),
    ("lock", (c_int,)),
    ("unlock", (c_int,)),
    ("check_reserved_lock", (POINTER(c_int),)),
    ("file_control", (c_int, c_void_p)),
    ("sector_size", ()),
    ("device_characteristics", ()),
    ("shm_map", (c_int, c_int, c_int, POINTER(c_void_p))),
    ("shm_lock", (c_int, c_int, c_int)),
    ("shm_barrier", ()),
    ("shm_unmap", (c_int,)),
)
_TYPES: dict[str, Any] = {name: CFUNCTYPE(c_int, _FILE, *arguments) for name, arguments in _METHODS}


class _Methods(ctypes.Structure):
    _fields_ = (("version", c_int), *((name, _TYPES[name]) for name, _ in _METHODS))


_EXTENSION_CALLS: dict[str, Any] = {
    "dl_open": CFUNCTYPE(c_void_p, c_void_p, c_char_p),
    "dl_error": CFUNCTYPE(None, c_void_p, c_int, c_void_p),
    "dl_sym": c_void_p,  # of a library that was opened
    "dl_close": c_void_p,
}
_CALLS: tuple[tuple[str, Any], ...] = (
    ("open", (c_char_p, _FILE, c_int, POINTER(c_int))),
    ("delete", (c_char_p, c_int)),
    ("access", (c_char_p, c_int, POINTER(c_int))),
    ("full_pathname", (c_char_p, c_int, c_void_p)),
    *((name, None) for name in _EXTENSION_CALLS),
    ("randomness", (c_int, c_void_p)),
    ("sleep", (c_int,)),
    ("current_time", (POINTER(c_double),)),
    ("get_last_error", (c_int, c_void_p)),
    ("current_time_int64", (POINTER(c_int64),)),
)
_CALL_TYPES: dict[str, Any] = {
    name: _EXTENSION_CALLS[name] if arguments is None else CFUNCTYPE(c_int, c_void_p, *arguments)
    for name, arguments in _CALLS
}


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("path_bytes", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        *((name, _CALL_TYPES[name]) for name, _ in _CALLS),
    )


def _guarded(function: Callable[..., int], otherwise: int) -> Callable[..., int]:
    """``function`` for C: an exception becomes a number of SQLite's."""

    def call(*arguments: Any) -> int:
        try:
            return function(*arguments)
        except OSError as error:
            return FULL if error.errno == errno.ENOSPC else otherwise
        except BaseException as error:
            files = files_of_call()
            if files is not None:
                files.failure = error
            return otherwise

    return call


def _file(file: Any) -> Any:
    return _opened[file.contents.number]


class _FileMethods:
    """``sqlite3_io_methods``."""

    @staticmethod
    def close(file: Any) -> int:
        _opened.pop(file.contents.number).close()
        return OK

    @staticmethod
    def read(file: Any, buffer: int, size: int, offset: int) -> int:
        data = _file(file).read(size, offset)
        ctypes.memmove(buffer, data + bytes(size - len(data)), size)
        return OK if len(data) == size else _SHORT_READ

    @staticmethod
    def write(file: Any, buffer: int, size: int, offset: int) -> int:
        _file(file).write(ctypes.string_at(buffer, size), offset)
        return OK

    @staticmethod
    def truncate(file: Any, size: int) -> int:
        _file(file).truncate(size)
        return OK

    @staticmethod
    def sync(file: Any, flags: int) -> int:
        _file(file).sync()
        return OK

    @staticmethod
    def file_size(file: Any, found: Any) -> int:
        found[0] = _file(file).size()
        return OK

    @staticmethod
    def lock(file: Any, level: int) -> int:
        one = _file(file)
        return OK if one.locks.lock(one, level) else BUSY

    @staticmethod
    def unlock(file: Any, level: int) -> int:
        one = _file(file)
        one.locks.unlock(one, level)
        return OK

    @staticmethod
    def check_reserved_lock(file: Any, found: Any) -> int:
        found[0] = _file(file).locks.is_reserved()
        return OK

    @staticmethod
    def file_control(file: Any, operation: int, argument: int) -> int:
        return NOTFOUND

    @staticmethod
    def sector_size(file: Any) -> int:
        return 4096

    @staticmethod
    def device_characteristics(file: Any) -> int:
        return _POWERSAFE_OVERWRITE

    @staticmethod
    def shm_map(file: Any, number: int, size: int, extend: int, found: Any) -> int:
        one = _file(file)
        region = one.locks.region(one, number, size, bool(extend))
        found[0] = None if region is None else ctypes.addressof(region)
        return OK

    @staticmethod
    def shm_lock(file: Any, first: int, count: int, flags: int) -> int:
        one = _file(file)
        if flags & _SHM_UNLOCK:
            one.locks.unlock_slots(one, first, count)
            return OK
        return OK if one.locks.lock_slots(one, first, count, bool(flags & _SHM_EXCLUSIVE)) else BUSY

    @staticmethod
    def shm_barrier(file: Any) -> int:
        return OK

    @staticmethod
    def shm_unmap(file: Any, deletes: int) -> int:
        one = _file(file)
        one.locks.unmap(one)
        return OK


class _VfsCalls:
    """``sqlite3_vfs``."""

    _numbers = 0

    @classmethod
    def open(cls, vfs: int, name: bytes | None, file: Any, flags: int, out_flags: Any) -> int:
        file.contents.methods = None
        opened: Any
        if name is None:
            opened = TemporaryFile()
        else:
            files = files_of_call()
            if files is None:
                return CANTOPEN
            own = os.O_RDWR if flags & _OPEN_READWRITE else os.O_RDONLY
            own |= os.O_CREAT if flags & _OPEN_CREATE else 0
            own |= os.O_EXCL if flags & _OPEN_EXCLUSIVE and flags & _OPEN_CREATE else 0
            opened = files.open(
                os.fsdecode(name),
                own,
                syncs_directory=bool(flags & _OPEN_JOURNALS and flags & _OPEN_CREATE),
                deletes=bool(flags & _OPEN_DELETES),
            )
        cls._numbers += 1
        _opened[cls._numbers] = opened
        file.contents.number = cls._numbers
        file.contents.methods = ctypes.addressof(_methods)
        if out_flags:
            out_flags[0] = flags
        return OK

    @staticmethod
    def delete(vfs: int, name: bytes, syncs: int) -> int:
        files = files_of_call()
        if files is None or not files.has_written(os.fsdecode(name)):
            return OK  # a connection is collected whose process has crashed: its journal stays
        try:
            files.delete(os.fsdecode(name), syncs=bool(syncs))
        except FileNotFoundError:
            return _NO_ENTRY
        return OK

    @staticmethod
    def access(vfs: int, name: bytes, flags: int, found: Any) -> int:
        files = files_of_call()
        size = None if files is None else files.size_at(os.fsdecode(name))
        found[0] = size is not None and (size > 0 or flags != 0)  # an empty journal counts as none
        return OK

    @staticmethod
    def full_pathname(vfs: int, name: bytes, size: int, found: int) -> int:
        files = files_of_call()
        if files is None:
            return CANTOPEN
        behind = files.files.disk.file_system.lead(files.files.absolute(name))
        path = os.fsencode(os.path.normpath(behind)) + b"\0"
        if len(path) > size:
            return CANTOPEN
        ctypes.memmove(found, path, len(path))
        return OK

    @staticmethod
    def dl_open(vfs: int, name: bytes) -> None:
        """No extension can be loaded on a node."""

    @staticmethod
    def dl_error(vfs: int, size: int, found: int) -> None:
        text = b"extensions cannot be loaded on a node"[: size - 1] + b"\0"
        ctypes.memmove(found, text, len(text))

    @staticmethod
    def randomness(vfs: int, size: int, found: int) -> int:
        ctypes.memmove(found, os.urandom(size), size)
        return size

    @staticmethod
    def sleep(vfs: int, microseconds: int) -> int:
        return microseconds

    @staticmethod
    def current_time(vfs: int, found: Any) -> int:
        found[0] = (time.time_ns() // 1_000_000 + _UNIX_EPOCH) / 86_400_000.0
        return OK

    @staticmethod
    def current_time_int64(vfs: int, found: Any) -> int:
        found[0] = time.time_ns() // 1_000_000 + _UNIX_EPOCH
        return OK

    @staticmethod
    def get_last_error(vfs: int, size: int, found: int) -> int:
        return OK


_methods: Any = None
_FAILURES = {"read": IOERR | 1 << 8, "write": IOERR | 3 << 8, "sync": IOERR | 4 << 8, "open": CANTOPEN}


def register() -> None:
    """Have SQLite know the virtual file system; once in a process.

    Raises:
        HiddenStateError: the library that ``sqlite3`` uses cannot be reached.
    """
    global _methods
    if _methods is not None:
        return
    try:
        register_vfs = library().sqlite3_vfs_register
    except AttributeError:
        refuse(
            "sqlite3.connect on a node",
            "the SQLite of this Python is linked so that no file system can be added to it; use ':memory:', or a "
            "Python with a shared libsqlite3",
        )
    functions = {
        name: _TYPES[name](_guarded(getattr(_FileMethods, name), _FAILURES.get(name, IOERR))) for name, _ in _METHODS
    }
    methods = _Methods(2, *functions.values())
    calls: dict[str, Any] = {
        name: _CALL_TYPES[name](_guarded(getattr(_VfsCalls, name), _FAILURES.get(name, IOERR)))
        for name, arguments in _CALLS
        if arguments is not None
    }
    for name in ("dl_open", "dl_error"):
        calls[name] = _CALL_TYPES[name](getattr(_VfsCalls, name))
    vfs = _Vfs(2, ctypes.sizeof(_File), _PATH_BYTES, None, NAME.encode(), None)
    for name, function in calls.items():
        setattr(vfs, name, function)
    _kept.extend((functions, methods, calls, vfs))
    # C points to these until the process is gone, longer than any module.
    for one in _kept:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))
    register_vfs.argtypes = (c_void_p, c_int)
    if register_vfs(ctypes.addressof(vfs), 0) != OK:
        refuse("sqlite3.connect on a node", "SQLite does not take another file system; use ':memory:'")
    _methods = methods


assert SHARED == 1  # levels are SQLite's own numbers
