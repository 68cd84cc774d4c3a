"""The header of a recording: the run and the machine, as known before the first step.

`describe_run` makes the header map that a `Writer` takes. Every key is optional for a reader, so that keys can come
and go between versions; only times depend on the header, through keys that the writer adds itself.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from detrun_scheduler.journal import CHUNK_EVENT_BYTES, CHUNK_STEPS

PACKAGES = ("trio", "greenlet", "numpy", "torch")


def describe_run(
    *,
    target: str | None = None,
    arguments: Sequence[Any] = (),
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
    strategy: str = "random",
    source_fingerprint: str | None = None,
    packages: Sequence[str] = PACKAGES,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A header: what was run, how, and with which software. Values must be plain (text, numbers, lists, maps).

    Package versions are read from metadata: no package is imported.
    """
    return {
        "detrun": installed_version("detrun"),
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "packages": {name: version for name in packages if (version := installed_version(name)) is not None},
        "platform": f"{sys.platform}-{platform.machine()}",
        "target": target,
        "arguments": list(arguments),
        "parameters": dict(parameters or {}),
        # msgpack has no whole number past 64 bits.
        "seed": seed if -(1 << 63) <= seed < 1 << 64 else str(seed),
        "strategy": strategy,
        "hash_seed": os.environ.get("PYTHONHASHSEED") or "random",
        "source": source_fingerprint,
        "chunk_steps": CHUNK_STEPS,
        "chunk_event_bytes": CHUNK_EVENT_BYTES,
        "extra": dict(extra or {}),
    }


@cache
def installed_version(package: str) -> str | None:
    """The version of an installed distribution, or None."""
    from importlib import metadata  # a fifth of the whole import of detrun, and needed only here

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
