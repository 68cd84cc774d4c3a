"""Whose async function a program is: trio's or asyncio's.

With ``backend="auto"`` it is asyncio's if it says so: its code names asyncio or something from it and nothing of
trio's; or, where its code names neither or both, its module does. Otherwise it is trio's. Ordinary functions have no
backend: they start their event loops themselves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import CodeType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from detrun.execution.program import function_of
from detrun_scheduler.asyncio_host.imported import is_of_trio, is_without_loop
from detrun_scheduler.errors import UsageError

BACKENDS = ("auto", "trio", "asyncio")
ASYNCIO_ORDERS = ("any", "fifo")
_LIBRARIES = frozenset(("asyncio", "trio"))

_guesses: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def check_backend(backend: str, asyncio_order: str) -> None:
    """Raise `UsageError` for one that there is not."""
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend {backend!r}; choose one of {', '.join(BACKENDS)}")
    if asyncio_order not in ASYNCIO_ORDERS:
        raise UsageError(f"unknown asyncio_order {asyncio_order!r}; choose one of {', '.join(ASYNCIO_ORDERS)}")


def runs_in_asyncio(main: Callable[..., Any], backend: str) -> bool:
    """Whether ``main``, an async function, is run by asyncio, which then has been imported when this returns.

    A run replaces asyncio's names when it begins, so a program that imports it inside its functions is none too late.
    """
    if backend != "auto":
        found = backend == "asyncio"
    else:
        known = _guesses.get(main)
        found = _names_asyncio(main) if known is None else known
        if known is None:
            _guesses[main] = found
    if found and "asyncio" not in sys.modules:
        import_module("asyncio")
    return found


def _names_asyncio(main: Any) -> bool:
    main = function_of(main)
    function = main if hasattr(main, "__code__") else getattr(type(main), "__call__", None)  # noqa: B004 (its code)
    function = getattr(function, "__func__", function)
    code, names = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    if code is not None:
        said = {library for name in _names_in(code) if (library := _library_of(name, names))}
        if len(said) == 1:
            return said == {"asyncio"}
    return {library for name in list(names) if (library := _library_of(name, names))} == {"asyncio"}


def _names_in(code: CodeType) -> Iterator[str]:
    """The names that code and the functions inside it look up or import."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


def _library_of(name: str, names: Mapping[str, Any]) -> str:
    """``"asyncio"`` or ``"trio"`` if the name stands for that module or for something from it, else an empty string."""
    if name not in names:
        return name if name in _LIBRARIES else ""  # imported inside the function
    value = names[name]
    module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    top = module.partition(".")[0] if isinstance(module, str) else ""
    return top if top in _LIBRARIES else ""


def wrong_backend(error: BaseException, in_asyncio: bool) -> UsageError | None:
    """What to say of ``error`` if it comes from an async program that the other library should have run.

    Args:
        in_asyncio: whether asyncio has run it.
    """
    if not in_asyncio and is_without_loop(error):
        what, ran, way_out = "no event loop of asyncio is running", "trio", "asyncio"
    elif in_asyncio and is_of_trio(error):
        what, ran, way_out = "a task of asyncio's cannot await functions of trio's", "asyncio", "trio"
    else:
        return None
    found = UsageError(f"{what}: the program was run as one of {ran}; give backend={way_out!r} (--backend {way_out})")
    found.__cause__ = error
    return found
