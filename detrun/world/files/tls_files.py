"""Certificates of ``ssl`` on a node's disk: OpenSSL opens files in C, and is given what the disk has in memory.

A path at which nothing is on the disk reaches OpenSSL as it is, and means a real file (`path_for_c`).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

from detrun.world.files.paths_for_c import path_for_c

_CONTEXT: Any = ssl.SSLContext
_ORIGINALS: dict[str, Callable[..., Any]] = {
    name: getattr(_CONTEXT, name) for name in ("load_cert_chain", "load_verify_locations")
}


def _load_cert_chain(self: Any, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
    with path_for_c(certfile) as certificate, path_for_c(keyfile) as key:
        _ORIGINALS["load_cert_chain"](self, certificate, key, password)


def _load_verify_locations(self: Any, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
    with path_for_c(cafile) as certificates:
        _ORIGINALS["load_verify_locations"](self, certificates, capath, cadata)


def install() -> None:
    """Replace the methods of ``ssl.SSLContext``."""
    _CONTEXT.load_cert_chain, _CONTEXT.load_verify_locations = _load_cert_chain, _load_verify_locations


def restore() -> None:
    """Put them back: they are inherited."""
    for name in _ORIGINALS:
        if name in vars(_CONTEXT):
            delattr(_CONTEXT, name)
