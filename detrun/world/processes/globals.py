"""What a process of Python has for itself in the interpreter that all processes of a run share.

While a step of a child runs, ``sys.argv``, ``sys.path``, the standard streams, ``sys.excepthook``, the environment
variables, ``sys.modules["__main__"]`` and the modules of the program are the child's; after the step they are again
what they were. So what the child assigns stays with it. A child begins with none of the program's own modules and
imports them anew; the standard library, installed packages and detrun are one for all.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from types import ModuleType
from typing import Any

from detrun_scheduler.user_code import installed_package, is_detrun_file, is_user_file

_OF_SYS = ("argv", "path", "stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__", "excepthook")
_MAIN = "__main__"
_ENVIRON: Any = os.environ  # of which type stubs leave the attribute out that holds the variables
_ENVIRON_BYTES: Any = getattr(os, "environb", None)


@cache
def _is_of_the_program(path: str) -> bool:
    return is_user_file(path) and not installed_package(path) and not is_detrun_file(path)


def _has_own(name: str, module: Any) -> bool:
    """Whether each process has this module for itself."""
    path = getattr(module, "__file__", None) if isinstance(module, ModuleType) else None
    return name == _MAIN or (isinstance(path, str) and not name.startswith("conftest") and _is_of_the_program(path))


class _OwnModules:
    """The modules that one side of an exchange, a child or all that is outside children, has for itself.

    A look through all modules takes 0.3 ms, so there is one only where their number is another than at the end of the
    last exchange, or one of those that were its own has gone.
    """

    def __init__(self) -> None:
        self._count = -1
        self._names: list[str] = []

    def take_out(self) -> dict[str, Any]:
        """Take them out of ``sys.modules``."""
        modules = sys.modules
        if len(modules) != self._count or not all(map(modules.__contains__, self._names)):
            self._names = [name for name, module in modules.items() if _has_own(name, module)]
        return {name: modules.pop(name) for name in self._names}

    def put_in(self, modules: dict[str, Any]) -> None:
        """Put them in."""
        sys.modules.update(modules)
        self._count, self._names = len(sys.modules), list(modules)


_outside = _OwnModules()


class ProcessGlobals:
    """Those of one child.

    Args:
        of_sys: attributes of ``sys`` that it begins with.
        environment: encoded names and values of its environment variables.
        main: its main module.
    """

    def __init__(self, of_sys: dict[str, Any], environment: dict[bytes, bytes], main: ModuleType) -> None:
        self._of_sys = of_sys
        self._environment = environment
        self._modules: dict[str, Any] = {_MAIN: main}  # the child's while it does not run, and else what it stands for
        self._inside = _OwnModules()

    def _exchange(self) -> None:
        kept = self._of_sys
        self._of_sys = {name: getattr(sys, name) for name in _OF_SYS}
        for name, value in kept.items():
            setattr(sys, name, value)
        self._environment, _ENVIRON._data = _ENVIRON._data, self._environment
        if _ENVIRON_BYTES is not None:
            _ENVIRON_BYTES._data = _ENVIRON._data

    def enter(self) -> None:
        """A step of the child begins, after one of what all but children share."""
        self._exchange()
        own = _outside.take_out()
        self._inside.put_in(self._modules)
        self._modules = own

    def leave(self) -> None:
        """The step is over."""
        self._exchange()
        own = self._inside.take_out()
        _outside.put_in(self._modules)
        self._modules = own


def environment_of(variables: Any) -> dict[bytes, bytes]:
    """Environment variables as ``name=value``, encoded, in the form in which they are kept here; None: a copy."""
    if variables is None:
        return dict(_ENVIRON._data)
    pairs = (os.fsencode(one).partition(b"=") for one in variables)
    return {name: value for name, _, value in pairs}
