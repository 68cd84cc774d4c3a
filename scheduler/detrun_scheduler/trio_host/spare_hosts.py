"""Hosts that serve one run after another.

A host is made of some twenty objects, which takes 10 µs, a good part of what a small run takes in all. When the run is
over they are empty again. So a run gets the host of an earlier one, once nothing else knows that any more: a task that
the program has kept, a run whose reader still asks it something, a handler of signals. The number of references tells.
Weak ones count, too: what is kept for a host under one would pass into the next run. Exploration reads the last run
while the next one begins, so two hosts serve it by turns.
"""

from __future__ import annotations

from collections import deque
from sys import getrefcount
from weakref import getweakrefcount

from detrun_scheduler.trio_host.host import Host

SPARES_MAX = 3

_spares: deque[Host] = deque()  # those that have served longest ago first


def _references() -> int:
    """How many there are to a host that only a variable here knows."""
    host = Host()
    references = getrefcount(host)
    host.cut()
    return references


_ALONE = _references()


def spare_host() -> Host:
    """A host that serves no run, an earlier one's if there is one; `Host.begin` tells it of the next."""
    for _ in range(len(_spares)):
        host = _spares.popleft()
        if getrefcount(host) == _ALONE and not getweakrefcount(host):
            return host
        _spares.append(host)
    return Host()


def put_by(host: Host) -> None:
    """The run of ``host`` has finished: keep it for another, or take it apart."""
    if not host.is_whole:
        host.cut()
        return
    host.rest()
    if len(_spares) == SPARES_MAX:
        _spares.popleft().cut()
    _spares.append(host)
