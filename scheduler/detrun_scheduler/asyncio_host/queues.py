"""`asyncio.Queue` tells the active run which items are put and taken (`message_order`).

The methods are replaced for the life of the process.
"""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import Any

from detrun_scheduler.message_order import order_of, told

_put_nowait, _get_nowait = asyncio.Queue.put_nowait, asyncio.Queue.get_nowait
_PLAIN = asyncio.Queue._put, asyncio.Queue._get


@wraps(_put_nowait)
def put_nowait(self: Any, item: Any) -> None:
    """As asyncio's."""
    run = told()
    if run is None:
        _put_nowait(self, item)
        return
    order = order_of(self, run, self.qsize(), _is_plain)
    _put_nowait(self, item)
    order.put(run, item)


@wraps(_get_nowait)
def get_nowait(self: Any) -> Any:
    """As asyncio's."""
    run = told()
    if run is None:
        return _get_nowait(self)
    order = order_of(self, run, self.qsize(), _is_plain)
    item = _get_nowait(self)
    order.got(run, item)
    return item


def _is_plain(queue: Any) -> bool:
    kind: Any = type(queue)
    return (kind._put, kind._get) == _PLAIN


def install() -> None:
    """Replace the methods; further calls do nothing."""
    if asyncio.Queue.put_nowait is not put_nowait:
        asyncio.Queue.put_nowait = put_nowait  # type: ignore[method-assign]  # replaced on purpose
        asyncio.Queue.get_nowait = get_nowait  # type: ignore[method-assign]  # replaced on purpose
