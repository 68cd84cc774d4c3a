"""Addresses and errors as the operating system gives them: pairs of a host and a port, and four hosts by name.

Hosts are numeric and canonical. An IPv4 address that an IPv6 socket names (``::ffff:10.0.0.1``) is an IPv4 address
here, so that both kinds of sockets meet.
"""

from __future__ import annotations

import os
from typing import Any

Address = tuple[str, Any]  # a numeric host and a port; of a Unix socket, nothing and its name

ANY = "0.0.0.0"
LOOPBACK = "127.0.0.1"
ANY6 = "::"
LOOPBACK6 = "::1"
BROADCAST = "255.255.255.255"
TO_ITSELF = {ANY: LOOPBACK, ANY6: LOOPBACK6}  # what a connection to a wildcard reaches


def is_loopback(host: str) -> bool:
    """Whether ``host`` is the machine that asks, by that name."""
    return host.startswith("127.") or host == LOOPBACK6


def check_flow(address: tuple[Any, ...]) -> None:
    """See that the flow label of an IPv6 address, if it has one, is of 20 bits.

    Raises:
        OverflowError: it is not.
    """
    if len(address) > 2 and not 0 <= address[2] < 1 << 20:
        raise OverflowError("flowinfo must be 0-1048575.")


def os_error(number: int) -> OSError:
    """The exception that the operating system's error ``number`` becomes."""
    return OSError(number, os.strerror(number))
