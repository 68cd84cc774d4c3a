"""`Attempt`: what is tried, perhaps more than once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

Answer = TypeVar("Answer")
Attempt: TypeAlias = Callable[[int], Awaitable[Answer]]
"""Called with 0, and with 1, 2, ... for further attempts."""
