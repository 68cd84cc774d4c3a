"""torch's files on a node's disk: torch opens paths in C++, and is given file objects, bytes or memory in their place.

- ``PyTorchFileWriter`` and ``PyTorchFileReader``, under `torch.save`, `torch.load`, `torch.export` and `torch.package`,
  take a file object where they take a path.
- What TorchScript saves and loads by path, it can save to bytes and load from bytes.
- Storages in the old format are written and read through the file object, as those of files without a descriptor are.
- A file that is mapped into memory for reading (``torch.load(mmap=True)``) is mapped from a copy of its content. One
  that is shared, so that tensors change it, is refused by name: no change would reach the disk.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

from detrun.world.files.paths_for_c import path_for_c
from detrun_scheduler.environment import file_names
from detrun_scheduler.environment.hidden_state import refuse
from detrun_scheduler.environment.names_at_import import AwaitedImport
from detrun_scheduler.environment.replaced_names import ReplacedMethods, ReplacedNames

# torch imports this module by its name once it has made all that is replaced, and has given it its documentation.
_LAST_IMPORT = "torch.distributions"
_SHARED = "its tensors would change a real file; load it without shared=True, and save it when it has changed"
_PROFILE = "it is written by C++ and holds real times; write it outside the World"

_written: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()  # writer -> its file on a node's disk


def _files() -> Any:
    return None if file_names.files_here is None else file_names.files_here()


def _opening(mode: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """``__init__`` of a reader or writer, which opens what it is given as a path."""

    def __init__(self: Any, name_or_buffer: Any, *rest: Any, **named: Any) -> None:
        files = _files()
        if files is None or not isinstance(name_or_buffer, str):
            call(self, name_or_buffer, *rest, **named)
            return
        file = files.builtin_open(name_or_buffer, mode)
        call(self, file, *rest, **named)
        if mode == "wb":
            _written[self] = file

    return __init__


def _closing(call: Callable[..., Any]) -> Callable[..., Any]:
    """``write_end_of_file`` of a writer."""

    def write_end_of_file(self: Any) -> None:
        call(self)
        file = _written.pop(self, None)
        if file is not None:
            file.close()

    return write_end_of_file


def _saving(call: Callable[..., Any], to_bytes: Callable[..., bytes]) -> Callable[..., Any]:
    """A method or function that saves something under a path, by the one that gives its bytes."""

    def save(saved: Any, filename: Any, *rest: Any, **named: Any) -> Any:
        files = _files()
        if files is None:
            return call(saved, filename, *rest, **named)
        with files.builtin_open(filename, "wb") as file:
            file.write(to_bytes(saved, *rest, **named))
        return None

    return save


def _loading(call: Callable[..., Any], from_bytes: Callable[..., Any], before: int) -> Callable[..., Any]:
    """A function that loads a path, its argument after ``before`` others, by the one that takes bytes there."""

    def load(*arguments: Any, **named: Any) -> Any:
        files = _files()
        if files is None:
            return call(*arguments, **named)
        with files.builtin_open(arguments[before], "rb") as file:
            return from_bytes(*arguments[:before], file.read(), *arguments[before + 1 :], **named)

    return load


def _mapping(call: Callable[..., Any]) -> Callable[..., Any]:
    """A function that maps a file into memory."""

    def from_file(filename: Any, shared: bool | None = False, *rest: Any, **named: Any) -> Any:
        files = _files()
        if files is None:
            return call(filename, shared, *rest, **named)
        if shared:
            refuse(f"torch.from_file of {filename!r} with shared=True on node {files.node!r}", _SHARED)
        files.builtin_open(filename, "rb").close()  # the error, where the node has no such file
        with path_for_c(filename) as path:
            return call(path, shared, *rest, **named)

    return from_file


def _saving_profile(call: Callable[..., Any]) -> Callable[..., Any]:
    """``save`` of a profile."""

    def save(self: Any, path: str) -> Any:
        files = _files()
        if files is not None:
            refuse(f"saving the profile {path!r} on node {files.node!r}", _PROFILE)
        return call(self, path)

    return save


@cache
def _groups() -> tuple[ReplacedNames | ReplacedMethods, ...]:
    """What is replaced together; torch has been imported as far as it is concerned."""
    torch: Any = sys.modules["torch"]
    c: Any = torch._C
    serialization: Any = sys.modules["torch.serialization"]

    def should_read_directly(file: Any) -> Any:
        files = _files()
        direct = serialization_names.originals["_should_read_directly"](file)
        return direct and not (files is not None and files.descriptors.has_given(file.fileno()))

    serialization_names = ReplacedNames(serialization, {"_should_read_directly": should_read_directly})
    storage: Any = torch.UntypedStorage
    script, function = vars(c.ScriptModule), vars(c.ScriptFunction)
    writer, profile = vars(c.PyTorchFileWriter), c._autograd._ProfilerResult
    return (
        serialization_names,
        ReplacedMethods(
            c.PyTorchFileWriter,
            {
                "__init__": _opening("wb", writer["__init__"]),
                "write_end_of_file": _closing(writer["write_end_of_file"]),
            },
        ),
        ReplacedMethods(c.PyTorchFileReader, {"__init__": _opening("rb", vars(c.PyTorchFileReader)["__init__"])}),
        ReplacedMethods(
            c.ScriptModule,
            {
                "save": _saving(script["save"], script["save_to_buffer"]),
                "_save_for_mobile": _saving(script["_save_for_mobile"], script["_save_to_buffer_for_mobile"]),
            },
        ),
        ReplacedMethods(c.ScriptFunction, {"save": _saving(function["save"], function["save_to_buffer"])}),
        ReplacedMethods(profile, {"save": _saving_profile(vars(profile)["save"])}),
        ReplacedNames(
            c,
            {
                "_save_jit_module": _saving(c._save_jit_module, c._save_jit_module_to_bytes),
                "_load_jit_module_from_file": _loading(c._load_jit_module_from_file, c._load_jit_module_from_bytes, 0),
                "import_ir_module": _loading(c.import_ir_module, c.import_ir_module_from_buffer, 1),
                "_load_for_lite_interpreter": _loading(
                    c._load_for_lite_interpreter, c._load_for_lite_interpreter_from_buffer, 0
                ),
            },
        ),
        ReplacedNames(torch, {"from_file": _mapping(torch.from_file)}),
        ReplacedMethods(storage, {"from_file": staticmethod(_mapping(storage.from_file))}),
    )


_installed: list[ReplacedNames | ReplacedMethods] = []


def _install() -> None:
    for group in _groups():
        group.install()
        _installed.append(group)


_IMPORT = AwaitedImport(_LAST_IMPORT, _install)


def install() -> None:
    """Lead torch's files of nodes to their disks, now or once code of the run imports torch."""
    if _LAST_IMPORT in sys.modules:
        _IMPORT.leave()
        _install()
    else:
        _IMPORT.begin()


def restore() -> None:
    """Put everything back."""
    while _installed:
        _installed.pop().restore()
    _IMPORT.end_of_run()
