"""`threading.local`: the real one for OS threads, and a dictionary for each simulated thread inside a run.

The class takes the real one's place when detrun is imported, as locks do, since the local of a module is made at its
import. The main thread of a run, trio's tasks, and everything outside a run have the real local's attributes. So the
main thread sees what was set before the run, as in life.
"""

from __future__ import annotations

import threading
import weakref
from _thread import _local as _RealLocal
from typing import Any

from detrun_scheduler.environment.addresses import address_of
from detrun_scheduler.threads.simulated_thread import MAIN_IDENT, SimulatedThread
from detrun_scheduler.threads.thread_of_code import thread_of_code

_get, _set, _delete = _RealLocal.__getattribute__, _RealLocal.__setattr__, _RealLocal.__delattr__


class local(_RealLocal):
    """`threading.local`; see the module's opening."""

    # In a slot, which all threads share: with them `__init__` is called once more in every thread.
    __slots__ = ("_arguments",)

    def __new__(cls, *arguments: Any, **keywords: Any) -> local:
        """As the real one."""
        # The real one refuses arguments unless __init__ was overridden, but looks only at its own type's.
        if (arguments or keywords) and cls.__init__ is local.__init__:
            raise TypeError("Initialization arguments are not supported")
        self = _RealLocal.__new__(cls, *arguments, **keywords)
        _ARGUMENTS.__set__(self, (arguments, keywords))
        thread = thread_of_code()
        if thread is not None and thread.ident != MAIN_IDENT:
            # Python is about to call __init__ itself, for this thread.
            _remember(thread, self, {})
        return self

    def __getattribute__(self, name: str) -> Any:
        thread = thread_of_code()
        if thread is None or thread.ident == MAIN_IDENT:
            return _get(self, name)
        attributes = _attributes(thread, self)
        if name == "__dict__":
            return attributes
        kind = type(self)
        for base in kind.__mro__:
            found = vars(base).get(name, _MISSING)
            if found is not _MISSING:
                break
        # The order of object.__getattribute__: data descriptors, the instance, other descriptors, the class.
        described = type(found)
        if hasattr(described, "__set__") or hasattr(described, "__delete__"):
            return found.__get__(self, kind)
        if name in attributes:
            return attributes[name]
        if hasattr(described, "__get__"):
            return found.__get__(self, kind)
        if found is _MISSING:
            raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}", name=name, obj=self)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        thread = thread_of_code()
        if thread is None or thread.ident == MAIN_IDENT:
            _set(self, name, value)
            return
        attributes = _attributes(thread, self)
        if name == "__dict__":
            raise AttributeError(f"{type(self).__name__!r} object attribute '__dict__' is read-only")
        described = _data_descriptor(type(self), name, "__set__")
        if described is not None:
            described.__set__(self, value)
        else:
            attributes[name] = value

    def __delattr__(self, name: str) -> None:
        thread = thread_of_code()
        if thread is None or thread.ident == MAIN_IDENT:
            _delete(self, name)
            return
        attributes = _attributes(thread, self)
        if name == "__dict__":
            raise AttributeError(f"{type(self).__name__!r} object attribute '__dict__' is read-only")
        described = _data_descriptor(type(self), name, "__delete__")
        if described is not None:
            described.__delete__(self)
        elif name in attributes:
            del attributes[name]
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)


_ARGUMENTS: Any = vars(local)["_arguments"]
_MISSING: Any = object()


def _data_descriptor(kind: type, name: str, method: str) -> Any:
    for base in kind.__mro__:
        if name in vars(base):
            found = vars(base)[name]
            return found if hasattr(type(found), method) else None
    return None


def _attributes(thread: SimulatedThread, self: local) -> dict[str, Any]:
    """The attributes of ``self`` in ``thread``; made, and ``__init__`` called, at the first use."""
    entry = thread.locals.get(address_of(self))
    attributes: dict[str, Any] = {} if entry is None else entry[1]
    if entry is not None:
        return attributes
    _remember(thread, self, attributes)
    initialize = type(self).__init__
    if initialize is not object.__init__:
        arguments, keywords = _ARGUMENTS.__get__(self)
        try:
            initialize(self, *arguments, **keywords)
        except BaseException:
            thread.locals.pop(address_of(self), None)
            raise
    return attributes


def _remember(thread: SimulatedThread, self: local, attributes: dict[str, Any]) -> None:
    # Keyed by identity, never iterated; the weak reference drops the entry before the address can be used again.
    key, entries = address_of(self), thread.locals
    entries[key] = (weakref.ref(self, lambda _: entries.pop(key, None)), attributes)


def install() -> None:
    """Take the place of the real one in `threading`, for the rest of the process."""
    threading.local = local
