"""Methods of ``scipy.optimize.minimize`` on the mean over one fixed set of seeds (sample average approximation).

With the seeds fixed the mean loss is one function, and deterministic methods apply. They fit these seeds, too: what was
gained is measured on the held-out ones.

Source: Kim, Pasupathy and Henderson, "A guide to sample average approximation", Handbook of Simulation Optimization
(2015).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from detrun.execution.interruption import Interruption
from detrun.minimizing.search import Search
from detrun_scheduler.errors import UsageError

# The methods that take a gradient; the others would need none of this.
METHODS = ("CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "SLSQP", "trust-constr")


class _Interrupted(Exception):
    """Ctrl-C, out of the middle of a method."""


def by_scipy(search: Search, method: str, start: Sequence[float], iterations: int, interruption: Interruption) -> str:
    """Minimize; why it ended.

    Raises:
        UsageError: scipy is not installed, or has no such method that takes gradients.
    """
    known = {one.lower(): one for one in METHODS}
    if method.lower() not in known:
        raise UsageError(
            f"minimize: unknown optimizer {method!r}; choose 'adam', a class of torch.optim, or a method of scipy that "
            f"takes gradients: {', '.join(METHODS)}"
        )
    try:
        optimize: Any = import_module("scipy.optimize")
    except ImportError:
        raise UsageError(f"minimize: optimizer={method!r} needs scipy: pip install scipy; or choose 'adam'") from None
    search.fixed_seeds = True
    best: list[tuple[float, list[float]]] = []

    def loss(at: Any) -> tuple[float, list[float]]:
        if interruption.requested or len(search.history) >= iterations:
            raise _Interrupted
        place = [float(one) for one in at]
        value, gradient = search.gradient(place)
        if not best or value < best[0][0]:
            best[:] = [(value, place)]
        return value, gradient

    limits = [
        (
            one.of(one.low) if one.low > _least(one.is_log) else None,
            one.of(one.high) if one.high < float("inf") else None,
        )
        for one in search.coordinates
    ]
    has_bounds = any(limit is not None for pair in limits for limit in pair)
    keywords = {"bounds": limits} if has_bounds else {}
    try:
        found = optimize.minimize(loss, list(start), method=known[method.lower()], jac=True, **keywords)
        reason = f"scipy's {known[method.lower()]}: {found.message}"
    except _Interrupted:
        reason = "interrupted" if interruption.requested else f"all {iterations:,} iterations were made"
    if best:
        search.look(best[0][1])
    return reason


def _least(is_log: bool) -> float:
    return 0.0 if is_log else float("-inf")
