"""Programs by name, ``path.py:function`` or ``module:function``: the one place where a program is found by its name.

A module is imported as Python itself would, with the working directory at the head of ``sys.path``. A file is imported
under the name that it has for the programs around it: its stem, with its directory at the head of ``sys.path``, or, if
it lies in a package (directories with ``__init__.py``), its dotted name, with the package's parent there, so that
relative imports work. A file that is imported already, under whatever name, is not imported again: a second copy
would have a second set of classes and globals.

The same text means the same function in a fresh process with the same working directory, which is what replaying a
recording and comparing two processes rest on.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from detrun.execution import program
from detrun.execution.program import Main, check_main
from detrun_scheduler.errors import UsageError


@dataclass(frozen=True, slots=True)
class Target:
    """A program and its name.

    Attributes:
        function: a function, async or not.
        text: what it was loaded by; loads it again in another process.
        module: where it was found.
    """

    function: Main
    text: str
    module: ModuleType

    @property
    def name(self) -> str:
        """The function's name, ``main`` or ``Class.method``."""
        return self.text.rpartition(":")[2]


def load_target(text: str, *, runs_nothing: bool = False) -> Target:
    """The function, async or not, that ``text`` names.

    Args:
        runs_nothing: refuse a module that starts a run when it is imported.

    Raises:
        UsageError: it names no function, cannot be imported (the cause is in the message, in one line, and chained),
            has no such function, or what it names is not a function.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        # rpartition leaves everything in the last part when there is no colon.
        shown = place or name or "path.py"
        raise UsageError(f"target {text!r} names no function; write {shown}:FUNCTION, or module:FUNCTION")
    program.only_importing = runs_nothing
    try:
        module = _import_file(place) if _is_path(place) else _import_module(place)
    finally:
        program.only_importing = False
    found = _attribute(module, place, name)
    check_main(found)
    return Target(found, text, module)


def _is_path(place: str) -> bool:
    return place.endswith(".py") or os.sep in place


def _import_module(name: str) -> ModuleType:
    _put_first(os.getcwd())
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Is it the target that is missing, or something that the target imports?
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            file = Path(*name.split(".")).with_suffix(".py")
            hint = f"did you mean {file}?" if file.is_file() else f"looked in {os.getcwd()} and the installed packages"
            raise UsageError(f"there is no module {name!r}; {hint}") from error
        raise _not_importable(name, error) from error
    except (Exception, SystemExit) as error:
        raise _not_importable(name, error) from error


def _import_file(text: str) -> ModuleType:
    path = Path(text).expanduser()
    if path.is_dir():
        raise UsageError(f"{text} is a directory; name a file in it: {path / 'FILE.py'}:FUNCTION")
    if not path.is_file():
        try:
            neighbours = [one.name for one in sorted(path.parent.iterdir()) if one.suffix == ".py"]
        except OSError:
            neighbours = []
        near = _suggestion(path.name, neighbours, lambda name: str(path.parent / name))
        raise UsageError(f"there is no file {text}{near or '; paths are relative to the working directory'}")
    path = path.resolve()
    loaded = _already_imported(path)
    if loaded is not None:
        return loaded
    root, name = _module_name(path)
    _put_first(str(root))
    importlib.invalidate_caches()
    try:
        if "." in name:
            return importlib.import_module(name)
        # By location and not by name: a program may be called like a module that is loaded already (queue.py).
        if name in sys.modules:
            name = f"{name} ({path})"
        return _execute(name, path)
    except (Exception, SystemExit) as error:
        raise _not_importable(text, error) from error


def _execute(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is not Python source; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _module_name(path: Path) -> tuple[Path, str]:
    """The directory to import from, and the dotted name of the file there."""
    root, names = path.parent, [path.stem]
    # A package's directory must itself be importable: in "my-programs/__init__.py" the file stands alone.
    while (root / "__init__.py").is_file() and root.name.isidentifier():
        names.append(root.name)
        root = root.parent
    if names[0] == "__init__":
        del names[0]
    return root, ".".join(reversed(names))


def _already_imported(path: Path) -> ModuleType | None:
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and os.path.basename(file) == path.name and os.path.realpath(file) == str(path):
            return module
    return None


def _put_first(directory: str) -> None:
    if sys.path[:1] != [directory]:
        sys.path.insert(0, directory)


def _not_importable(place: str, error: BaseException) -> UsageError:
    """One line: what was raised, and at which line of whose code."""
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        cause = f"{kind}: {error.msg} ({_shown(error.filename)}, line {error.lineno})"
    elif isinstance(error, SystemExit):
        cause = (
            "it ends the process when imported (SystemExit); put what runs it under if __name__ == '__main__'"
            + _innermost(error)
        )
    else:
        cause = f"{kind}: {' '.join(str(error).split())}".rstrip(": ") + _innermost(error)
    return UsageError(f"cannot import {place}: {cause}")


def _innermost(error: BaseException) -> str:
    """``(at app.py:3)``: the innermost line of the traceback that is neither the import system's nor ours."""
    found = ""
    traceback = error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith("<") and file != __file__ and os.sep + "importlib" + os.sep not in file:
            found = f" (at {_shown(file)}:{traceback.tb_lineno})"
        traceback = traceback.tb_next
    return found


def _shown(file: str | None) -> str:
    here = os.getcwd() + os.sep
    return (file or "?").removeprefix(here)


def _attribute(module: ModuleType, place: str, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            programs = [
                one
                for one, value in vars(module).items()
                if inspect.isfunction(value) and value.__module__ == module.__name__
            ]
            others = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
            near = _suggestion(name, programs, str) or _suggestion(name, others, str)
            if not near and programs:
                near = f"; its functions are {', '.join(programs)}"
            raise UsageError(f"{place} has no function {name!r}{near or '; it defines no function'}") from None
    return found


def _suggestion(name: str, known: Iterable[str], show: Any) -> str:
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(show(one) for one in near)}?" if near else ""
