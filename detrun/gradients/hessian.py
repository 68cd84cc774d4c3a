"""Hessian times a direction, of a program's loss on its frozen schedule: forward over reverse.

The program runs once with a tape and with one tangent beside each parameter, so that the tape also keeps how its
partials move along the direction; one sweep back then gives the gradient and its derivative along the direction, to
rounding. Timers, messages and cells carry the tangents like any other part of a Value.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import outcome
import trio

from detrun.ad import state
from detrun.ad.diagnostics import Diagnostics, diagnose
from detrun.ad.forward import TangentValue
from detrun.ad.reverse import refuse_foreign
from detrun.ad.second_order import backward_second_order
from detrun.ad.tape import Tape
from detrun.ad.value import primal_of
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.execution.program import Main
from detrun.execution.scope import RunScope
from detrun.gradients.loss import loss_of
from detrun.gradients.parameters import check_params
from detrun.gradients.timing import TimingSites
from detrun.races.watch import replayed_run
from detrun_recorder.recording import Recording, open_recording
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import ActiveRun, RunHooks
from detrun_scheduler.watchdog import STEP_TIMEOUT


@dataclass(frozen=True, slots=True)
class HessianVectorProduct:
    """The loss, its gradient, and its Hessian times the direction, by parameter name.

    ``diagnostics`` and ``warnings`` are those of `detrun.gradient`: sites passed, and detachments by source line.
    """

    value: float
    grads: dict[str, float]
    product: dict[str, float]
    recording: Recording
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    warnings: tuple[str, ...] = ()


def hessian_vector_product(
    main: Main,
    params: Mapping[str, float],
    direction: Mapping[str, float],
    *,
    recording: Recording | str | os.PathLike[str] | bytes | None = None,
    seed: int = 0,
    strategy: str | Oracle = "random",
    max_steps: int | None = None,
    step_timeout: float | None = STEP_TIMEOUT,
    observe: Callable[[], object] | None = None,
    instruments: Sequence[trio.abc.Instrument] = (),
    strict_exception_groups: bool = True,
    restrict_keyboard_interrupt_to_checkpoints: bool = False,
    preemption: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    thread_errors: bool | None = None,
    early_timers: int = 0,
    collections: int = 0,
    backend: str = "auto",
    asyncio_order: str | None = None,
) -> HessianVectorProduct:
    """Differentiate the loss that ``main(params)`` returns twice, the second time along ``direction``.

    Args:
        direction: name -> number; parameters that it leaves out stand still.

    Other arguments are as for `detrun.gradient`.

    Raises:
        UsageError: ``direction`` names something besides the parameters; or as for `detrun.gradient`.
        NotDifferentiableError: a derivative does not exist, or passes through an operation given by a pullback only.
    """
    numbers = check_params(params)
    for name, speed in direction.items():
        if name not in numbers:
            raise UsageError(
                f"hessian_vector_product: direction names {name!r}, but the parameters are {', '.join(numbers)}"
            )
        if not isinstance(speed, int | float) or not isfinite(speed):
            raise UsageError(f"hessian_vector_product: direction {name}={speed!r} is not a finite number")
    opened = recording if isinstance(recording, Recording) or recording is None else open_recording(recording)
    execution = replayed_run(opened) if opened is not None else NewRun(seed, strategy, params=numbers)
    scope = _Moving(numbers, {name: float(direction.get(name, 0.0)) for name in numbers})
    options = Options(
        max_steps=max_steps,
        step_timeout=step_timeout,
        observe=observe,
        instruments=instruments,
        strict_exception_groups=strict_exception_groups,
        restrict_keyboard_interrupt_to_checkpoints=restrict_keyboard_interrupt_to_checkpoints,
        preemption=preemption,
        include=tuple(include),
        exclude=tuple(exclude),
        thread_errors=thread_errors,
        early_timers=early_timers or None,
        collections=collections or None,
        backend=backend,
        asyncio_order=asyncio_order,
    )
    finished = execution.execute(main, (), options if opened is None else options.of_replays(), scope)
    loss = loss_of(main, finished.outcome)
    return HessianVectorProduct(
        primal_of(loss),
        scope.grads,
        scope.product,
        finished.recording,
        scope.diagnostics,
        tuple(scope.diagnostics.detachment_warnings()),
    )


class _Moving(RunScope):
    """Runs a program with its parameters moving along a direction."""

    def __init__(self, numbers: dict[str, float], direction: dict[str, float]) -> None:
        self.numbers, self.direction = numbers, direction
        self.values: dict[str, TangentValue] = {}
        self.grads: dict[str, float] = {}
        self.product: dict[str, float] = {}
        self.diagnostics = Diagnostics()

    def contribute(self, hooks: RunHooks) -> None:
        """Note where timing decides."""
        hooks.time_observer = TimingSites()

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Start the tape; the parameters are its first entries."""
        state.start_tape()
        self.values = {name: TangentValue(number, (self.direction[name],)) for name, number in self.numbers.items()}
        return (dict(self.values),)

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """Sweep adjoints and their tangents back from the loss."""
        tape = state.stop_tape()
        self.diagnostics = diagnose([tape])
        if isinstance(ended, outcome.Value):
            self._sweep(tape, ended.value)
        return ended

    def _sweep(self, tape: Tape, loss: Any) -> None:
        if not isinstance(loss, TangentValue):
            self.grads = self.product = dict.fromkeys(self.numbers, 0.0)
            return
        ids = {name: value.id for name, value in self.values.items()}
        found = backward_second_order(tape, {loss.id: (1.0, (0.0,))}, wanted=list(ids.values()))
        refuse_foreign({one: any((adjoint, *moving)) for one, (adjoint, moving) in found.items()}, tape.first_id)
        self.grads = {name: found[one][0] for name, one in ids.items()}
        self.product = {name: found[one][1][0] for name, one in ids.items()}
