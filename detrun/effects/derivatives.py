"""Derivatives of external effects: the numbers of a result get the history that was declared for them.

The effect itself sees plain numbers (`plain`), however deep its arguments hold `Value`s: in positional or keyword
arguments, lists, tuples, dicts, dataclasses, cells, buffers and tensors. Its result is plain data; every number in it
may carry a derivative, text, bytes and truth values may not: they are decisions, and discontinuity sites.

The rule: if `Value`s went in, no number comes out bare unless ``derivative="stop"`` says that it shall. Where nothing
is declared, numbers come out with a mark that refuses adjoint.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from detrun.ad import state
from detrun.ad.outer_sites import site
from detrun.ad.pullbacks import record_pullback, with_history_of
from detrun.ad.torch_bridge import requires_grad, values_of
from detrun.ad.trees import Parts, Trees, UnknownContainer
from detrun.ad.value import Value
from detrun.primitives.buffer import Buffer
from detrun.primitives.shared import Atomic, Shared
from detrun_scheduler import current
from detrun_scheduler.errors import NotDifferentiableError, UsageError


@dataclasses.dataclass(frozen=True, slots=True)
class Surrogate:
    """Differentiate ``model(*arguments)``, written in `Value` arithmetic, in place of the effect."""

    model: Callable[..., Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """The effect's result is random, with the log-probability ``log_probability(result, *arguments)``.

    Written in `Value` arithmetic (`detrun.log`, `detrun.exp`, …); a density, if the result is continuous. Gradients of
    kind ``"policy"`` use it; for other kinds the result carries a mark that refuses adjoint.
    """

    log_probability: Callable[..., Any]


_NUMBERS_AND_TEXT = (Value, float, int, bool, str, bytes, type(None))

DerivativeSemantics = Literal["stop", "identity"] | Callable[..., Sequence[Any]] | Surrogate | Score | None


class EffectDerivative:
    """The derivative of one external function.

    Args:
        name: of the function.
        derivative: as it was declared.
    """

    def __init__(self, name: str, derivative: DerivativeSemantics) -> None:
        self.name = name
        self.derivative = derivative
        self.trees = Trees(
            f"external function {name}",
            leaf_types=_NUMBERS_AND_TEXT,
            unknown=UnknownContainer.OPAQUE,
            open=_cell_parts,
            advice="Pass it in a list, tuple, dict or dataclass",
        )

    def plain_arguments(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The same arguments with bare numbers; the very objects where they hold no `Value`.

        Raises:
            NotDifferentiableError: a `Value` in an object that cannot be copied with a bare number in its place.
        """
        return (
            [self._plain(one, f"args[{place}]") for place, one in enumerate(args)],
            {key: self._plain(one, key) for key, one in keywords.items()},
        )

    def _plain(self, tree: Any, path: str) -> Any:
        if _nothing_carries() or not any(
            isinstance(leaf, Value) or requires_grad(leaf) for leaf in self.trees.leaves(tree, path)
        ):
            return tree
        return self.trees.replace(_bare, tree, path)

    def differentiable(self, result: Any, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """``result`` with the histories that the declaration gives to its numbers.

        Whether a tape is on makes no difference: a `Value` allots its id either way.

        Raises:
            NotDifferentiableError: the numbers of the result are not those that the declaration speaks of, or a `Value`
                is where no derivative reaches it.
        """
        if _nothing_carries():
            return result
        derivative = self.derivative
        inputs = [self._leaves(one, f"args[{place}]") for place, one in enumerate(args)]
        inputs += [self._leaves(one, key) for key, one in keywords.items()]
        carrying = [leaf for leaves in inputs for leaf in leaves if isinstance(leaf, Value)]
        if not carrying or derivative == "stop":
            return result
        found = self._leaves(result, "result")
        if isinstance(derivative, Score):
            if self._scored(derivative, result, args, keywords):
                return result
            derivative = None
        if any(isinstance(leaf, bool | str | bytes) for leaf in found):
            # A decision, held fixed here: how near it was to another one is unknown.
            for value in carrying:
                site(f"external function {self.name}", None, value, value.primal)
        numbers = [leaf for leaf in found if _is_number(leaf)]
        if not numbers:
            return result
        if derivative is None:
            way_out = WITH_A_SCORE if isinstance(self.derivative, Score) else WITH_NOTHING
            return self._with_numbers(result, [_refusing(self.name, number, carrying, way_out) for number in numbers])
        if isinstance(derivative, Surrogate):
            passed = self._leaves(derivative.model(*args, **keywords), "result")
            return self._passed("its model gives", result, numbers, passed)
        if derivative == "identity":
            first = next(leaves for leaves in inputs if any(isinstance(leaf, Value) for leaf in leaves))
            return self._passed("the argument that it passes on holds", result, numbers, first)
        vjp = _Vjp(self, derivative, result, len(numbers), *self.plain_arguments(args, keywords), inputs)
        return self._with_numbers(result, [vjp.result(place, number, carrying) for place, number in enumerate(numbers)])

    def _scored(self, score: Score, result: Any, args: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
        """Whether this run's gradient takes the probability of the result into account; it does so here."""
        terms = getattr(getattr(current.run, "draws", None), "terms", None)
        if terms is None or not terms.takes_scores:
            return False
        log_probability = score.log_probability(result, *args, **keywords)
        if not _is_number(log_probability):
            raise UsageError(
                f"the log-probability of external function {self.name} is {log_probability!r:.80}; return one number, "
                "computed from the arguments with functions of detrun such as detrun.log"
            )
        terms.add_effect(log_probability)
        return True

    def _passed(self, source: str, result: Any, numbers: list[Any], passed: list[Any]) -> Any:
        """The effect's own numbers with the histories of others, one by one."""
        histories = [leaf for leaf in passed if _is_number(leaf)]
        if len(histories) != len(numbers):
            raise NotDifferentiableError(
                f"external function {self.name} gave {len(numbers)} numbers, but {source} {len(histories)}; "
                "declare a vjp, or a Surrogate whose model gives as many"
            )
        return self._with_numbers(
            result,
            [
                with_history_of(history, number, self.name) if isinstance(history, Value) else number
                for number, history in zip(numbers, histories, strict=True)
            ],
        )

    def _leaves(self, tree: Any, path: str) -> list[Any]:
        """The leaves of a tree, in order; numbers of tensors that require grad as Values."""
        found: list[Any] = []
        for leaf in self.trees.leaves(tree, path):
            if requires_grad(leaf):
                found += values_of(leaf)
            else:
                found.append(leaf)
        return found

    def _with_numbers(self, tree: Any, numbers: Sequence[Any]) -> Any:
        """Plain data with its numbers replaced, in order."""
        replaced = iter(numbers)
        return self.trees.map(lambda leaf: next(replaced) if _is_number(leaf) else leaf, tree)


WITH_NOTHING = (
    "which declares no derivative; declare derivative='stop' if it is to count as constant, or 'identity', a vjp or a "
    "Surrogate"
)
WITH_A_SCORE = (
    "which declares a Score: only kind='policy' computes its derivative; use that, or declare a Surrogate or a vjp"
)


def _refusing(name: str, number: float, carrying: list[Value], way_out: str) -> Value:
    advice = f"external function {name}, {way_out}"

    def refuse(adjoint: float) -> list[float]:
        raise NotDifferentiableError(f"an adjoint of {adjoint:g} arrived at the result of {advice}")

    def refuse_tangents(tangents: Any) -> Any:
        raise NotDifferentiableError(f"a tangent arrived at an argument of {advice}")

    return record_pullback(float(number), carrying, refuse, refuse_tangents)


@dataclasses.dataclass(frozen=True, slots=True)
class _Vjp:
    """A vjp ``(adjoint, *arguments) -> one adjoint for each argument``, for each number of the result."""

    effect: EffectDerivative
    function: Any
    shape: Any  # the result: the adjoint that the function gets is a tree like it
    numbers: int
    args: Sequence[Any]  # plain
    keywords: Mapping[str, Any]
    inputs: Sequence[Sequence[Any]]  # what each argument holds, Values too

    def result(self, place: int, number: float, carrying: list[Value]) -> Value:
        def pullback(adjoint: float) -> list[float]:
            return self.adjoints(place, adjoint)

        def pushforward(tangents: Sequence[Sequence[float]]) -> tuple[float, ...]:
            partials = self.adjoints(place, 1.0)
            return tuple(
                sum(partial * one for partial, one in zip(partials, direction, strict=True))
                for direction in zip(*tangents, strict=True)
            )

        return record_pullback(float(number), carrying, pullback, pushforward)

    def adjoints(self, place: int, adjoint: float) -> list[float]:
        """One adjoint for each `Value` among the arguments, of the number at ``place`` in the result."""
        name, effect = self.effect.name, self.effect
        own = effect._with_numbers(self.shape, [adjoint if place == other else 0.0 for other in range(self.numbers)])
        found = list(self.function(own, *self.args, **self.keywords))
        if len(found) != len(self.inputs):
            raise UsageError(
                f"the vjp of {name} returned {len(found)} adjoints for {len(self.inputs)} arguments; "
                "give one for each, those of keyword arguments last"
            )
        chosen: list[float] = []
        for number, (leaves, given) in enumerate(zip(self.inputs, found, strict=True)):
            if not any(isinstance(leaf, Value) for leaf in leaves):
                continue
            places = [leaf for leaf in leaves if _is_number(leaf)]
            adjoints = [leaf for leaf in effect._leaves(given, f"adjoints[{number}]") if _is_number(leaf)]
            if len(adjoints) != len(places):
                raise UsageError(
                    f"the vjp of {name} returned {len(adjoints)} numbers for argument {number}, which holds "
                    f"{len(places)}; give it an adjoint of the argument's own shape"
                )
            chosen += [float(one) for leaf, one in zip(places, adjoints, strict=True) if isinstance(leaf, Value)]
        return chosen


def _nothing_carries() -> bool:
    """Whether no argument can carry a derivative, because this process has made neither a `Value` nor a tensor."""
    return not state.values_exist() and "torch" not in sys.modules


def _bare(leaf: Any) -> Any:
    if isinstance(leaf, Value):
        return leaf.primal
    return leaf.detach() if requires_grad(leaf) else leaf


def _cell_parts(cell: Any) -> Parts | None:
    """The content of a cell or buffer, without an operation."""
    if not isinstance(cell, Atomic | Shared | Buffer):
        return None
    (content,) = cell.__reduce_ex__(4)[1]
    return Parts([content], [""], lambda made: type(cell)(*made))


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, Value | float | int) and not isinstance(leaf, bool)
