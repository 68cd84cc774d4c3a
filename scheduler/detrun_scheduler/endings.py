"""How a task ended that did not return, in a word or two: what recordings say of it beside its last step's outcome.

To the loop a cancelled task is one that raised, and a thread whose exception was reported is one that returned. Readers
want to know which of the many that ended in one step is at fault. The words are no part of a run's digest.
"""

from __future__ import annotations

import trio

CANCELLED = "cancelled"
KILLED = "killed"  # stopped from outside, without a say: a daemon thread at the end, a task of a node that crashed
FAILED = "failed"
TYPES_NAMED = 3
ENDING_CHARACTERS_MAX = 200


def exception_leaves(error: BaseException) -> list[BaseException]:
    """What really failed: the exceptions inside nested exception groups, in order; the exception itself otherwise."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in exception_leaves(one)]
    return [error]


def _is_cancellation(error: BaseException) -> bool:
    """Whether it is trio's or asyncio's, which need not be imported."""
    kind = type(error)
    return kind is trio.Cancelled or (kind.__name__ == "CancelledError" and kind.__module__ == "asyncio.exceptions")


def ending_of(error: BaseException) -> str:
    """``cancelled``, or ``failed: ValueError`` with the types of what was raised beside cancellations."""
    if _is_cancellation(error):
        return CANCELLED
    leaves = exception_leaves(error)
    named = list(dict.fromkeys(type(leaf).__qualname__ for leaf in leaves if not _is_cancellation(leaf)))
    if not named:
        return CANCELLED
    more = f" and {len(named) - TYPES_NAMED} more types" if len(named) > TYPES_NAMED else ""
    return f"{FAILED}: {', '.join(named[:TYPES_NAMED])}{more}"[:ENDING_CHARACTERS_MAX]


def ending_in_a_word(ending: str) -> str:
    """``cancelled``, ``killed`` or ``failed``."""
    return ending.partition(":")[0]
