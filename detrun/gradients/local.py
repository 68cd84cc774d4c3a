"""The local gradient: how the loss of this very run responds to its parameters while the schedule stays frozen.

The program runs with `Value`s for parameters while the tape is on, either anew under a strategy or as a recording
says, in which case the digest must come out as recorded; then the tape is swept backward from the loss. Every branch,
timeout, message order and winner stays as it was: the result is the derivative of the loss along the recorded
interleaving, and its validity says how far a parameter can move before that interleaving would change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import outcome

from detrun.ad import state
from detrun.ad.diagnostics import Diagnostics, diagnose
from detrun.ad.growth import AdjointGrowth
from detrun.ad.reverse import backward
from detrun.ad.validity import Validity, validity
from detrun.ad.value import Value
from detrun.execution import Again, Anew, Main, Options
from detrun.gradients.result import Gradient
from detrun.gradients.timing import TimingSites
from detrun_recorder.recording import Recording
from detrun_scheduler.choices import Oracle
from detrun_scheduler.errors import NotDifferentiableError, UsageError
from detrun_scheduler.loop import RunLoop

BIAS = (
    "sensitivity of this run on its frozen schedule: branches, timeouts, event order and discrete draws do not move, "
    "so it is not the derivative of an expectation"
)


def check_params(params: Mapping[str, Any]) -> dict[str, float]:
    """The parameters as floats.

    Raises:
        UsageError: one is not a finite number.
    """
    if not params:
        raise UsageError("gradient: no parameters given; pass params={'name': number, ...}")
    checked = {}
    for name, number in params.items():
        if isinstance(number, bool) or not hasattr(number, "__float__") or not math.isfinite(float(number)):
            raise UsageError(f"gradient: parameter {name!r} is {number!r}, which is not a finite number")
        checked[name] = float(number)
    return checked


def local_gradient(
    main: Main,
    params: Mapping[str, float],
    *,
    recording: Recording | None,
    seed: int,
    strategy: str | Oracle,
    max_steps: int | None,
) -> Gradient:
    """Reverse mode over the whole tape of one run; arguments as for `detrun.gradient`."""
    numbers = check_params(params)
    plan = Again(recording) if recording is not None else Anew(seed, strategy, params=numbers)
    taping = _Taping(numbers)
    finished = plan.execute(main, (), Options(max_steps), taping)
    loss = loss_of(main, finished.outcome)
    diagnostics = taping.diagnostics
    warnings = list(diagnostics.warnings)
    if not isinstance(loss, Value):
        warnings.append("the loss is a plain number: it does not depend on any parameter through Values")
    if diagnostics.detachments:
        file, line, count = diagnostics.detachments[0]
        more = f" and at {len(diagnostics.detachments) - 1} more places" if len(diagnostics.detachments) > 1 else ""
        warnings.append(f"the bare number was taken out of a Value at {file}:{line} ({count} times){more}")
    return Gradient(
        value=float(loss.primal if isinstance(loss, Value) else loss),
        grads=taping.grads,
        kind="local",
        std_error=dict.fromkeys(taping.grads, 0.0),
        samples=1,
        bias=BIAS,
        validity=taping.validity,
        diagnostics=diagnostics,
        recording=finished.recording,
        digest=finished.digest,
        warnings=warnings,
    )


class _Taping:
    """Tapes a run from end to end and sweeps it before its ids are forgotten."""

    def __init__(self, numbers: dict[str, float]) -> None:
        self.numbers = numbers
        self.values: dict[str, Value] = {}
        self.grads: dict[str, float] = {}
        self.validity: dict[str, Validity] = {}
        self.diagnostics = Diagnostics()

    def prepare(self, loop: RunLoop) -> Sequence[object]:
        """Start the tape; the parameters are its first entries."""
        state.start_tape()
        self.values = {name: Value(number) for name, number in self.numbers.items()}
        loop.timers.observer = TimingSites()
        # The program gets a copy: what it does to the dict must not lose us a parameter.
        return (dict(self.values),)

    def harvest(self, ended: outcome.Outcome[Any]) -> None:
        """Sweep back from the loss, if the program returned one."""
        tape = state.stop_tape()
        if isinstance(ended, outcome.Error):
            return
        assert isinstance(ended, outcome.Value)
        loss = ended.value
        ids = {name: value.id for name, value in self.values.items()}
        growth = AdjointGrowth()
        if isinstance(loss, Value):
            adjoints = backward(tape, {loss.id: 1.0}, wanted=ids.values(), growth=growth)
            self.grads = {name: adjoints[one] for name, one in ids.items()}
        else:
            self.grads = dict.fromkeys(ids, 0.0)
        self.validity = validity(tape, ids)
        self.diagnostics = diagnose([tape], growth)


def loss_of(main: Main, ended: outcome.Outcome[Any]) -> Value | float:
    """The number that the program returned; raises what it raised.

    Raises:
        NotDifferentiableError: it returned something else.
    """
    loss = ended.unwrap()
    if isinstance(loss, Value) or (isinstance(loss, int | float) and not isinstance(loss, bool)):
        return loss
    name = getattr(main, "__qualname__", repr(main))
    raise NotDifferentiableError(f"{name} returned {loss!r}; to be differentiated it must return one number, the loss")
