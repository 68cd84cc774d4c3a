"""Hessian-vector products: forward over reverse, exact to rounding.

Run the program on `forward.along` parameters with a tape on. Each entry then carries its partials and their tangents in
the chosen directions, and one sweep gives adjoints and the tangents of adjoints: the gradient, and the Hessian times
each direction. Cost: a few times a gradient, whatever the number of parameters.

Source: Pearlmutter (1994), fast exact multiplication by the Hessian; here on a tape of scalars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from detrun.ad import state
from detrun.ad.dual import Tangent
from detrun.ad.forward import TangentValue
from detrun.ad.tape import Tape
from detrun.ad.value import Value
from detrun_scheduler.errors import NotDifferentiableError, UsageError

# An adjoint with its tangent per direction.
MovingAdjoint = tuple[float, Tangent]


def backward_second_order(
    tape: Tape, adjoints: Mapping[int, MovingAdjoint], *, wanted: Iterable[int] = ()
) -> dict[int, MovingAdjoint]:
    """Like `reverse.backward`, for adjoints that carry tangents.

    Args:
        tape: recorded while the parameters were TangentValues.
        adjoints: id -> (adjoint, its tangent per direction); ``(1.0, (0.0,))`` for a loss.
        wanted: ids on this tape to report.

    Returns:
        (adjoint, tangents) for ids below the tape and for the wanted ids. The adjoints equal those of `backward`.
    """
    first_id = tape.first_id
    if not adjoints:
        return {}
    directions = len(next(iter(adjoints.values()))[1])
    zeros = (0.0,) * directions
    known: dict[int, MovingAdjoint] = dict(adjoints)
    for entry_id in known:
        if not 0 <= entry_id < tape.end_id:
            raise UsageError(f"adjoint for id {entry_id}, but the tape holds ids {first_id} to {tape.end_id - 1}")
    for entry_id in range(tape.end_id - 1, first_id - 1, -1):
        held = known.get(entry_id)
        if held is None or not (held[0] or any(held[1])):
            continue
        adjoint, moving = held
        parents, partials = tape.parents_of(entry_id)
        if callable(partials):
            raise NotDifferentiableError(f"entry {entry_id} is given by a pullback, which has no second derivative")
        partial_tangents = tape.partial_tangents.get(entry_id) or (zeros,) * len(parents)
        for parent, partial, partial_tangent in zip(parents, partials, partial_tangents, strict=True):
            before, moving_before = known.get(parent, (0.0, zeros))
            known[parent] = (
                before + adjoint * partial,
                tuple(
                    one + speed * partial + adjoint * partial_speed
                    for one, speed, partial_speed in zip(moving_before, moving, partial_tangent, strict=True)
                ),
            )
    result = {entry_id: held for entry_id, held in known.items() if entry_id < first_id}
    for entry_id in wanted:
        result[entry_id] = known.get(entry_id, (0.0, zeros))
    return result


def hessian_vector_product(
    function: Callable[[list[Value]], Value], at: Sequence[float], direction: Sequence[float]
) -> tuple[list[float], list[float]]:
    """Gradient of ``function`` and its Hessian times ``direction``, at a point.

    ``function`` takes and gives Values and runs once, on a tape of its own; raises `UsageError` while another is on.
    """
    if len(at) != len(direction):
        raise UsageError(f"the point has {len(at)} coordinates, but the direction has {len(direction)}")
    with state.taped() as tape:
        arguments = [TangentValue(primal, (speed,)) for primal, speed in zip(at, direction, strict=True)]
        loss = function(list(arguments))
    found = backward_second_order(tape, {loss.id: (1.0, (0.0,))}, wanted=[argument.id for argument in arguments])
    pairs = [found[argument.id] for argument in arguments]
    return [adjoint for adjoint, _ in pairs], [tangent[0] for _, tangent in pairs]
