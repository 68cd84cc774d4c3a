"""`TokenBucket`: so many requests a second on average, and so many more at once.

Tokens come at a steady rate until the bucket is full; a request takes one. So in any stretch of t seconds at most
``burst + rate * t`` requests pass, and under steady load ``rate`` a second do.

The bucket has no task of its own. It keeps the number of tokens at one moment, and computes those of now when somebody
asks. Rate and burst may be Values: then so is the time until the next token.

Source: Turner, "New directions in communications", IEEE Communications Magazine 24(10), 1986; the lazy refill is that
of Linux, `net/sched/sch_tbf.c`.
"""

from __future__ import annotations

from typing import Any

import trio

ROUNDING = 1e-9  # a token that is missing by the rounding of virtual times counts as there


class TokenBucket:
    """See the module. A new bucket is full.

    Args:
        rate: of tokens, a second; positive.
        burst: tokens that a full bucket holds; at least 1, or no request ever passes.
    """

    def __init__(self, rate: Any, burst: Any) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = burst
        self._counted_at: Any = trio.current_time()

    def try_take(self) -> bool:
        """Take a token if there is one."""
        tokens = self._refill()
        if tokens < 1.0 - ROUNDING:
            return False
        self._tokens = tokens - 1.0
        return True

    def seconds_until_token(self) -> Any:
        """How long until there is a token, if none takes one before; 0 if there is one."""
        missing = 1.0 - self._refill()
        return missing / self.rate if missing > ROUNDING else 0.0

    def _refill(self) -> Any:
        now = trio.current_time()
        self._tokens = min(self.burst, self._tokens + self.rate * (now - self._counted_at))
        self._counted_at = now
        return self._tokens
