"""Certificates of ``ssl`` on a node's disk: OpenSSL opens files in C, and is given what the disk has in memory.

A path at which nothing is on the disk reaches OpenSSL as it is, and means a real file (`path_for_c`).
"""

from __future__ import annotations

import ssl
from typing import Any

from detrun.world.files.paths_for_c import path_for_c
from detrun_scheduler.environment.replaced_names import ReplacedMethods


def _load_cert_chain(self: Any, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
    with path_for_c(certfile) as certificate, path_for_c(keyfile) as key:
        METHODS.originals["load_cert_chain"](self, certificate, key, password)


def _load_verify_locations(self: Any, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
    with path_for_c(cafile) as certificates:
        METHODS.originals["load_verify_locations"](self, certificates, capath, cadata)


METHODS = ReplacedMethods(
    ssl.SSLContext, {"load_cert_chain": _load_cert_chain, "load_verify_locations": _load_verify_locations}
)
"""They lead to disks while a world is open."""
