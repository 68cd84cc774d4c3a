"""What the derivative of an external effect is: the numbers of its result get the history that was declared for them.

The effect itself sees plain numbers (`plain`), however deep its arguments hold `Value`s: in positional or keyword
arguments, lists, tuples, dicts, dataclasses, cells, buffers and tensors. Its result is plain data; every number in it
may carry a derivative, text, bytes and truth values may not: they are decisions, and discontinuity sites.

The rule: if `Value`s went in, no number comes out bare unless ``derivative="stop"`` says that it shall. Where nothing
is declared, numbers come out with a mark that refuses adjoint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from detrun.ad.pullbacks import record_pullback, with_history_of
from detrun.ad.torch_bridge import is_tensor, requires_grad, values_of
from detrun.ad.validity import site
from detrun.ad.value import Value
from detrun.primitives.buffer import Buffer
from detrun.primitives.shared import Atomic, Shared
from detrun_scheduler.errors import NotDifferentiableError, UsageError


@dataclasses.dataclass(frozen=True, slots=True)
class Surrogate:
    """Differentiate ``model(*arguments)``, written in `Value` arithmetic, in place of the effect."""

    model: Callable[..., Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """The effect's result is random, with the log-probability ``log_probability(result, *arguments)``.

    Reserved for policy gradients: `external` refuses it until they exist.
    """

    log_probability: Callable[..., Any]


DerivativeSemantics = Literal["stop", "identity"] | Callable[..., Sequence[Any]] | Surrogate | None


def plain(tree: Any) -> Any:
    """The same data with bare numbers; the very object if it holds no `Value`."""
    if isinstance(tree, Value):
        return tree.primal
    if requires_grad(tree):
        return tree.detach()
    if not any(isinstance(leaf, Value) for leaf in _leaves(tree)):
        return tree
    kind = type(tree)
    if isinstance(tree, dict):
        return {key: plain(one) for key, one in tree.items()}
    if isinstance(tree, list | tuple):
        items = [plain(one) for one in tree]
        return kind(*items) if hasattr(kind, "_fields") else kind(items)
    if isinstance(tree, Atomic | Shared | Buffer):
        return kind(plain(_contents(tree)))
    fields = {field.name: plain(getattr(tree, field.name)) for field in dataclasses.fields(tree)}
    made = object.__new__(kind)
    for name, one in fields.items():
        object.__setattr__(made, name, one)
    return made


def differentiable(
    name: str, derivative: DerivativeSemantics, result: Any, args: Sequence[Any], keywords: Mapping[str, Any]
) -> Any:
    """``result`` with the histories that ``derivative`` gives to its numbers.

    Whether a tape is on makes no difference: a `Value` allots its id either way.

    Raises:
        NotDifferentiableError: the numbers of the result are not those that the declaration speaks of.
    """
    inputs = [list(_leaves(argument)) for argument in (*args, *keywords.values())]
    carrying = [leaf for leaves in inputs for leaf in leaves if isinstance(leaf, Value)]
    if not carrying or derivative == "stop":
        return result
    found = list(_leaves(result))
    if any(isinstance(leaf, bool | str | bytes) for leaf in found):
        # A decision, held fixed here: how near it was to another one is unknown.
        for value in carrying:
            site(f"external function {name}", None, value, value.primal)
    numbers = [leaf for leaf in found if _is_number(leaf)]
    if not numbers:
        return result
    if derivative is None:
        return _with_numbers(result, [_refusing(name, number, carrying) for number in numbers])
    if isinstance(derivative, Surrogate):
        return _passed(name, "its model gives", result, numbers, list(_leaves(derivative.model(*args, **keywords))))
    if derivative == "identity":
        first = next(leaves for leaves in inputs if any(isinstance(leaf, Value) for leaf in leaves))
        return _passed(name, "the argument that it passes on holds", result, numbers, first)
    vjp = _Vjp(
        name,
        derivative,
        result,
        len(numbers),
        [plain(one) for one in args],
        {key: plain(one) for key, one in keywords.items()},
        inputs,
    )
    return _with_numbers(result, [vjp.result(place, number, carrying) for place, number in enumerate(numbers)])


def _passed(name: str, source: str, result: Any, numbers: list[Any], passed: list[Any]) -> Any:
    """The effect's own numbers with the histories of others, one by one."""
    histories = [leaf for leaf in passed if _is_number(leaf)]
    if len(histories) != len(numbers):
        raise NotDifferentiableError(
            f"external function {name} gave {len(numbers)} numbers, but {source} {len(histories)}; "
            "declare a vjp, or a Surrogate whose model gives as many"
        )
    return _with_numbers(
        result,
        [
            with_history_of(history, number, name) if isinstance(history, Value) else number
            for number, history in zip(numbers, histories, strict=True)
        ],
    )


def _refusing(name: str, number: float, carrying: list[Value]) -> Value:
    advice = (
        f"external function {name}, which declares no derivative; declare derivative='stop' if it is to count as "
        "constant, or 'identity', a vjp or a Surrogate"
    )

    def refuse(adjoint: float) -> list[float]:
        raise NotDifferentiableError(f"an adjoint of {adjoint:g} arrived at the result of {advice}")

    def refuse_tangents(tangents: Any) -> Any:
        raise NotDifferentiableError(f"a tangent arrived at an argument of {advice}")

    return record_pullback(float(number), carrying, refuse, refuse_tangents)


@dataclasses.dataclass(frozen=True, slots=True)
class _Vjp:
    """A vjp ``(adjoint, *arguments) -> one adjoint for each argument``, for each number of the result."""

    name: str
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
        own = _with_numbers(self.shape, [adjoint if place == other else 0.0 for other in range(self.numbers)])
        found = list(self.function(own, *self.args, **self.keywords))
        if len(found) != len(self.inputs):
            raise UsageError(
                f"the vjp of {self.name} returned {len(found)} adjoints for {len(self.inputs)} arguments; "
                "give one for each, those of keyword arguments last"
            )
        chosen: list[float] = []
        for number, (leaves, given) in enumerate(zip(self.inputs, found, strict=True)):
            if not any(isinstance(leaf, Value) for leaf in leaves):
                continue
            places = [leaf for leaf in leaves if _is_number(leaf)]
            adjoints = [leaf for leaf in _leaves(given) if _is_number(leaf)]
            if len(adjoints) != len(places):
                raise UsageError(
                    f"the vjp of {self.name} returned {len(adjoints)} numbers for argument {number}, which holds "
                    f"{len(places)}; give it an adjoint of the argument's own shape"
                )
            chosen += [float(one) for leaf, one in zip(places, adjoints, strict=True) if isinstance(leaf, Value)]
        return chosen


def _leaves(tree: Any) -> Iterator[Any]:
    """What a tree holds, in order; numbers of tensors that require grad as Values."""
    if isinstance(tree, dict):
        for one in tree.values():
            yield from _leaves(one)
    elif isinstance(tree, list | tuple):
        for one in tree:
            yield from _leaves(one)
    elif isinstance(tree, Atomic | Shared | Buffer):
        yield from _leaves(_contents(tree))
    elif is_tensor(tree):
        yield from values_of(tree) if tree.requires_grad else [tree]
    elif dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        for field in dataclasses.fields(tree):
            yield from _leaves(getattr(tree, field.name))
    else:
        yield tree


def _contents(cell: Any) -> Any:
    """What a cell or buffer holds, without an operation."""
    return cell.__reduce_ex__(4)[1][0]


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, Value | float | int) and not isinstance(leaf, bool)


def _with_numbers(tree: Any, numbers: Sequence[Any]) -> Any:
    """Plain data with its numbers replaced, in order."""
    replaced = iter(numbers)

    def build(one: Any) -> Any:
        if isinstance(one, dict):
            return {key: build(item) for key, item in one.items()}
        if isinstance(one, list):
            return [build(item) for item in one]
        return next(replaced) if _is_number(one) else one

    return build(tree)
