"""Certificates of ``ssl`` on a node's disk: OpenSSL opens files in C, and is given what the disk has in memory.

A path at which nothing is on the disk reaches OpenSSL as it is, and means a real file. The file in memory is one of
Linux (``memfd_create``); elsewhere all paths are real.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from detrun_scheduler.environment import file_names

_CONTEXT: Any = ssl.SSLContext
_ORIGINALS: dict[str, Callable[..., Any]] = {
    name: getattr(_CONTEXT, name) for name in ("load_cert_chain", "load_verify_locations")
}


@contextmanager
def _opened_by_c(path: Any) -> Iterator[Any]:
    """A real path at which C code finds what ``path`` means to the code that calls."""
    files = None if file_names.files_here is None else file_names.files_here()
    if files is None or path is None or not hasattr(os, "memfd_create") or not files.on_disk(path):
        yield path
        return
    with files.builtin_open(path, "rb") as file:
        content = file.read()
    number = os.memfd_create("certificate")
    try:
        file_names.original("write")(number, content)
        yield f"/proc/self/fd/{number}"
    finally:
        file_names.original("close")(number)


def _load_cert_chain(self: Any, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
    with _opened_by_c(certfile) as certificate, _opened_by_c(keyfile) as key:
        _ORIGINALS["load_cert_chain"](self, certificate, key, password)


def _load_verify_locations(self: Any, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
    with _opened_by_c(cafile) as certificates:
        _ORIGINALS["load_verify_locations"](self, certificates, capath, cadata)


def install() -> None:
    """Replace the methods of ``ssl.SSLContext``."""
    _CONTEXT.load_cert_chain, _CONTEXT.load_verify_locations = _load_cert_chain, _load_verify_locations


def restore() -> None:
    """Put them back: they are inherited."""
    for name in _ORIGINALS:
        if name in vars(_CONTEXT):
            delattr(_CONTEXT, name)
