"""Operations whose derivative is given by code: a torch block, a user's vector-Jacobian product."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from detrun.ad import state
from detrun.ad.adjoint_rules import Rule
from detrun.ad.dual import Tangent
from detrun.ad.forward import TangentValue
from detrun.ad.tape import Pullback
from detrun.ad.value import Value, apply
from detrun_scheduler.errors import NotDifferentiableError, UsageError

Pushforward = Callable[[Sequence[Tangent]], Tangent]


def with_history_of(value: Value, primal: float, name: str) -> Value:
    """Another number with the history of ``value``, and derivative 1 with respect to it, in every mode.

    For what changes a number without having a derivative of its own: rounding to a narrower type, an effect outside.
    """
    result: Value = apply(Rule(name, lambda _: float(primal), lambda *_: (1.0,)), value)
    return result


def record_pullback(
    primal: float, parents: Sequence[Value], pullback: Pullback, pushforward: Pushforward | None = None
) -> Value:
    """Make a `Value` that was computed by other means, with a rule for its adjoint.

    Args:
        primal: the number computed.
        parents: what it was computed from; not empty.
        pullback: ``pullback(adjoint)`` runs in the sweep, at most once, and gives one adjoint per parent. Adjoints are
            floats, unless a bridge agrees with itself on something richer that supports ``0.0 + x`` and ``bool(x)``.
        pushforward: for forward mode: the tangents of the parents (one tuple each) in, the tangent of the result out.

    Raises:
        UsageError: there are no parents.
        NotDifferentiableError: in forward mode without a ``pushforward``; or in forward over reverse, since a pullback
            has no second derivative.
    """
    if not parents:
        raise UsageError("record_pullback: no parents; a result that depends on nothing is a constant, Value(primal)")
    moving = [parent for parent in parents if isinstance(parent, TangentValue)]
    result: Value
    if moving:
        if pushforward is None:
            raise NotDifferentiableError(
                "forward mode met an operation that has a pullback only; give it a pushforward, or use reverse mode"
            )
        if state.taping:
            raise NotDifferentiableError("second derivatives do not pass through an operation given by a pullback")
        zeros = (0.0,) * len(moving[0].tangent)
        tangents = [parent.tangent if isinstance(parent, TangentValue) else zeros for parent in parents]
        result = TangentValue.__new__(TangentValue)
        result.tangent = tuple(pushforward(tangents))
    else:
        result = Value.__new__(Value)
    result.primal = float(primal)
    result.id = next(state.ids)
    if state.taping:
        assert state.tape is not None
        state.tape.add_wide(tuple(parent.id for parent in parents), pullback)
    return result
