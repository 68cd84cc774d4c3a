"""torch as this scenario uses it: float64 on the CPU, one thread, imported when a program is made.

The numbers of a run, and with them its digest, depend on the version of torch and on the instructions for vectors that
its libraries find on the processor: sums are taken in an order that these decide. Which messages are sent, and when,
depends on no number of the network, so that the schedule is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import detrun


def torch() -> Any:
    """The module.

    Raises:
        ModuleNotFoundError: torch is not installed.
    """
    import torch as module

    return module


def tensor_of(number: Any) -> Any:
    """A number, which may be a `Value`, as a tensor without axes: torch then does the same arithmetic with both."""
    return detrun.to_tensor(number)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, and as before behind it."""
    module = torch()
    threads = module.get_num_threads()
    module.set_num_threads(1)
    try:
        yield
    finally:
        module.set_num_threads(threads)


def same_bits(one: Any, other: Any) -> bool:
    """Whether two tensors have equal numbers."""
    equal: bool = torch().equal(one, other)
    return equal
