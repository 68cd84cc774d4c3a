"""The bytes of what a program gives to a call of a socket: to be sent, or to be filled."""

from __future__ import annotations

from typing import Any


def readable(data: Any) -> memoryview:
    """The bytes that a call sends, to be released: a traceback that knows them keeps a bytearray from growing.

    Raises:
        TypeError: ``data`` has none.
    """
    try:
        return memoryview(data)
    except TypeError:
        raise TypeError(f"a bytes-like object is required, not '{type(data).__name__}'") from None


def writable(buffer: Any) -> memoryview:
    """The bytes of a buffer that a call fills; to be released, as those of `readable`.

    Raises:
        TypeError: it is read-only.
    """
    view = memoryview(buffer)
    if view.readonly:
        raise TypeError(f"a read-write bytes-like object is required, not '{type(buffer).__name__}'")
    return view.cast("B")
