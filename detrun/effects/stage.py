"""`stage`: a part of a pipeline that declares what the gradient means at its boundary.

A pipeline of a neural ranker, a rule engine, a planner and an environment has no one right estimator. ``@detrun.stage``
says for each part which rule leads from its inputs to its outputs, and ``gradient(kind="local", samples=N)`` puts the
rules together, as does ``kind="expected"`` (`detrun.gradients.expected.stages`):

- ``"local"``: the function is taped as it runs; what flips in it is left out.
- ``"finite"``: the function sees plain numbers, so it may take them out with ``float()``, branch and round. Its
  Jacobian is that of central differences of this function alone, ``step`` wide, with the draws that it made
  (`stage_differences`). The rest of the program is differentiated at what came out. Where the function jumps, that is
  right only as far as what follows is straight over the height of the jump. How far it is not, is measured by other
  runs, in which one call has the result that it would have a step above and a step below.
- ``"policy"``: the draws made in it are decisions: what came out is held fixed, and the score ``d log p`` of each is
  multiplied with the loss of the run, or with the costs after it where some are declared (`detrun.cost`), less a
  baseline from the other samples. What comes after it may depend on the decision in any way. What it computes beside
  its draws is taped. Under ``kind="expected"`` that goes for its discrete draws; continuous ones move, and the jumps of
  what comes after them are counted.
- ``"relaxed"``: calls of `detrun.relaxed` in it have this ``temperature``, and nowhere else, so the loss is that of the
  softened stage. Of falling temperatures the last counts, and the others show the trend.
- ``"stop"``: the function sees plain numbers, and what comes out is a constant.

The sum is the derivative of the surrogate loss of a stochastic computation graph. With ``L`` the loss and ``p_k`` the
probability of decision k of the policy stages, each sample is ``dL + (L - b) Σ d log p_k``, in which every ``d`` is one
reverse sweep that crosses each boundary by its rule. So stages compose along both ways: ``p_k`` may depend on a finite
stage upstream, and a stage in a loop crosses as often as it is called. If every rule is exact, so is the mean.

A stage may be a coroutine function, except for ``"finite"``, whose function is called again. Its rule goes for the
steps of the task that calls it: what others do while it waits is outside, and tasks that it would start are refused.

Refused by name: a schedule point of threads in a stage that is not "local", since draws and calls of others would fall
into it; a Value that reaches a finite stage other than by its arguments; a function that keeps a state or asks the run
for more than draws, where it is called again; arguments that a plain stage changes; a quantile of the loss with policy
stages; and every derivative but "local" and "stop" in gradients of one run and of kinds "policy" and "relaxed", where
Values reach the stage. Runs without Values call the function as it is. In a finite or stopped stage the stages inside
are plain calls; in a policy stage an inner policy stage scores its own draws.

Source: Schulman et al., "Gradient estimation using stochastic computation graphs", NeurIPS 2015, theorem 1, for the
sum; Lew et al., "ADEV", POPL 2023, for a strategy per place. Departure: differences and temperatures are rules here,
too, with a bias that the report states.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import pairwise
from typing import Any, TypeVar, overload

from detrun.ad.temperature import checked
from detrun.effects.stage_rules import StageRules, trees_of
from detrun_scheduler.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

BASELINES = ("leave-one-out", "fitted", "linear", "none")
DERIVATIVES = ("local", "finite", "policy", "relaxed", "stop")


@overload
def stage(
    function: F,
    *,
    derivative: str = ...,
    step: float | None = ...,
    temperature: float | Sequence[float] | None = ...,
    baseline: str | None = ...,
    name: str | None = ...,
) -> F: ...
@overload
def stage(
    *,
    derivative: str = ...,
    step: float | None = ...,
    temperature: float | Sequence[float] | None = ...,
    baseline: str | None = ...,
    name: str | None = ...,
) -> Callable[[F], F]: ...
def stage(
    function: F | None = None,
    *,
    derivative: str = "local",
    step: float | None = None,
    temperature: float | Sequence[float] | None = None,
    baseline: str | None = None,
    name: str | None = None,
) -> Any:
    """Declare ``function`` a stage; use as ``@stage(derivative=...)``.

    Args:
        function: also a coroutine function, unless ``derivative`` is ``"finite"``. Numbers are differentiated in
            positional and keyword arguments and in its result, also in lists, tuples, dicts and dataclasses.
        derivative: ``"local"``, ``"finite"``, ``"policy"``, ``"relaxed"`` or ``"stop"``; see the module.
        step: of ``"finite"``, which needs it: how far each number that goes in is moved to either side. The
            smaller, the less bias; where the function jumps, the variance grows as 1 / step.
        temperature: of ``"relaxed"``, which needs it; or falling ones.
        baseline: of ``"policy"``: what is taken off the loss, as for `detrun.gradient`; ``"leave-one-out"`` by default.
        name: what reports call it; its qualified name by default.

    Raises:
        UsageError: an unknown derivative, or a step or temperature that is missing or belongs to another; or, when
            called, what the module lists as refused.
    """
    if function is None:
        return lambda decorated: stage(
            decorated, derivative=derivative, step=step, temperature=temperature, baseline=baseline, name=name
        )
    if derivative not in DERIVATIVES:
        raise UsageError(f"stage: derivative={derivative!r} is unknown; choose one of {', '.join(DERIVATIVES)}")
    for option, given, of in (("step", step, "finite"), ("temperature", temperature, "relaxed")):
        if (given is None) is (derivative == of):
            raise UsageError(
                f"stage: derivative={of!r} needs {option}="
                if given is None
                else f"stage: {option}={given!r} goes with derivative={of!r}, not with {derivative!r}; leave it out"
            )
    if step is not None and not (isinstance(step, int | float) and 0.0 < step < math.inf):
        raise UsageError(f"stage: step={step!r} must be a positive number")
    if baseline is not None and (derivative != "policy" or baseline not in BASELINES):
        raise UsageError(
            f"stage: baseline={baseline!r} goes with derivative='policy', and is one of {', '.join(BASELINES)}"
        )
    called = name or str(getattr(function, "__qualname__", repr(function)))
    if inspect.isasyncgenfunction(function) or (inspect.iscoroutinefunction(function) and derivative == "finite"):
        raise UsageError(
            f"stage {called} is a coroutine function, which differences cannot call again beside the run, or a "
            "generator; make a stage of a function that it calls between its awaits"
        )
    made = StageRules(
        function, derivative, step, _falling(temperature), baseline or BASELINES[0], called, trees_of(called)
    )
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def call_later(*args: Any, **keywords: Any) -> Any:
            return await made.call_later(args, keywords)

        return call_later

    @wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        return made.call(args, keywords)

    return call


def _falling(temperature: float | Sequence[float] | None) -> tuple[float, ...]:
    if temperature is None:
        return ()
    found = tuple(checked(one) for one in (temperature if isinstance(temperature, Sequence) else [temperature]))
    if not found or any(later >= earlier for earlier, later in pairwise(found)):
        raise UsageError(f"stage: temperature={temperature!r} must be a number, or falling numbers such as [1, 0.3]")
    return found
