"""Asynchronous generators in a run of both: those that asyncio code begins are asyncio's, others stay trio's."""

from __future__ import annotations

import sys
from typing import Any

from detrun_scheduler.asyncio_host.private import get_running
from detrun_scheduler.environment.addresses import address_of


def share_generators() -> None:
    """Let the running loop of asyncio look after generators that are begun in its steps, until the run ends.

    The run's host puts back the hooks that were there before it.
    """
    hooks: Any = sys.get_asyncgen_hooks()
    first, final = hooks
    # By address: when a generator is finalized, weak references to it are dead already.
    owners: dict[int, Any] = {}

    def begin(generator: Any) -> Any:
        loop: Any = get_running()
        if loop is None:
            owners.pop(address_of(generator), None)
            return first(generator)
        owners[address_of(generator)] = loop
        return loop._asyncgen_firstiter_hook(generator)

    def finish(generator: Any) -> Any:
        loop = owners.pop(address_of(generator), None)
        return final(generator) if loop is None else loop._asyncgen_finalizer_hook(generator)

    sys.set_asyncgen_hooks(begin, finish)
