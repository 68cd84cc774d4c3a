"""Addresses and errors as the operating system gives them: IPv4 addresses as pairs, two of them by name."""

from __future__ import annotations

import os

Address = tuple[str, int]  # a numeric host and a port

ANY = "0.0.0.0"
LOOPBACK = "127.0.0.1"


def os_error(number: int) -> OSError:
    """The exception that the operating system's error ``number`` becomes."""
    return OSError(number, os.strerror(number))
