"""`stage`: a part of a pipeline that declares what the gradient means at its boundary.

A pipeline of a neural ranker, a rule engine, a planner and an environment has no one right estimator. ``@detrun.stage``
says for each part which rule leads from its inputs to its outputs, and ``gradient(kind="local", samples=N)`` puts the
rules together:

- ``"local"``: the function is taped as it runs; what flips in it is left out.
- ``"finite"``: the function sees plain numbers, so it may take them out with ``float()``, branch and round. Its
  Jacobian is that of central differences of this function alone, ``step`` wide, with the draws that it made
  (`stage_differences`). The rest of the program is not run again: it is differentiated at what came out. Where the
  function jumps, that is right only as far as what follows is straight over the height of the jump.
- ``"policy"``: the draws made in it are decisions: what came out is held fixed, and the score ``d log p`` of each is
  multiplied with the loss of the whole run, less the mean loss of the other samples. What comes after it may depend on
  the decision in any way. What it computes beside its draws is taped.
- ``"relaxed"``: calls of `detrun.relaxed` in it have this ``temperature``, and nowhere else, so the loss is that of the
  softened stage.
- ``"stop"``: the function sees plain numbers, and what comes out is a constant.

The sum is the derivative of the surrogate loss of a stochastic computation graph. With ``L`` the loss and ``p_k`` the
probability of decision k of the policy stages, each sample is ``dL + (L - b) Σ d log p_k``, in which every ``d`` is one
reverse sweep that crosses each boundary by its rule. So stages compose along both ways: ``p_k`` may depend on a finite
stage upstream, and a stage in a loop crosses as often as it is called. If every rule is exact, so is the mean.

Refused by name: a coroutine function, or a schedule point of threads in a stage that is not "local", since draws and
calls of other tasks would fall into it; a Value that reaches a finite stage other than by its arguments; a function
that keeps a state or asks the run for more than draws, where it is called again; arguments that a plain stage changes;
a quantile of the loss with policy stages; and every derivative but "local" and "stop" in gradients of other kinds or of
one run, where Values reach the stage. Runs without Values call the function as it is. In a finite or stopped stage the
stages inside are plain calls; in a policy stage an inner policy stage scores its own draws.

Source: Schulman et al., "Gradient estimation using stochastic computation graphs", NeurIPS 2015, theorem 1, for the
sum; Lew et al., "ADEV", POPL 2023, for a strategy per place. Departure: differences and temperatures are rules here,
too, with a bias that the report states.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from detrun.ad import state
from detrun.ad.pullbacks import record_pullback
from detrun.ad.temperature import checked, temperature_of
from detrun.ad.trees import Trees, UnknownContainer
from detrun.ad.value import Value, primal_of
from detrun.effects.stage_calls import Crossing, StageNotes, watcher
from detrun.effects.stage_differences import DrawsAgain, jacobian
from detrun_scheduler import current
from detrun_scheduler.errors import DetrunError, NotDifferentiableError, UsageError

F = TypeVar("F", bound=Callable[..., Any])

DERIVATIVES = ("local", "finite", "policy", "relaxed", "stop")
# Sites that are draws: a policy stage scores them.
OF_DRAWS = ("bernoulli", "poisson", "choice", "binomial", "geometric")
_TEXT = (bool, str, bytes)
_PLAIN = (Value, float, int, bool, str, bytes, type(None))


def stage(
    function: F | None = None,
    *,
    derivative: str = "local",
    step: float | None = None,
    temperature: float | None = None,
    name: str | None = None,
) -> Any:
    """Declare ``function`` a stage; use as ``@stage(derivative=...)``.

    Args:
        function: not a coroutine function. Numbers are differentiated in positional and keyword arguments and in its
            result, also in lists, tuples, dicts and dataclasses.
        derivative: ``"local"``, ``"finite"``, ``"policy"``, ``"relaxed"`` or ``"stop"``; see the module.
        step: of ``"finite"``, which needs it: how far each number that goes in is moved to either side. The
            smaller, the less bias; where the function jumps, the variance grows as 1 / step.
        temperature: of ``"relaxed"``, which needs it.
        name: what reports call it; its qualified name by default.

    Raises:
        UsageError: an unknown derivative, or a step or temperature that is missing or belongs to another; or, when
            called, what the module lists as refused.
    """
    if function is None:
        return lambda decorated: stage(decorated, derivative=derivative, step=step, temperature=temperature, name=name)
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
    called = name or str(getattr(function, "__qualname__", repr(function)))
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(
            f"stage {called} is a coroutine function; make stages of the functions that it calls between its awaits"
        )
    setting = step if step is not None else None if temperature is None else checked(temperature)
    made = _Stage(function, derivative, setting, called, _trees(called))

    @wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        return made.call(args, keywords)

    return call


def _trees(name: str) -> Trees:
    return Trees(
        f"stage {name}",
        leaf_types=_PLAIN,
        unknown=UnknownContainer.OPAQUE,
        advice="Pass it in a list, tuple, dict or dataclass",
    )


@dataclass(frozen=True, slots=True)
class _Stage:
    function: Callable[..., Any]
    derivative: str
    setting: float | None
    name: str
    trees: Trees

    def call(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        if not state.values_exist():
            return self.function(*args, **keywords)
        watch = watcher()
        if watch is None:
            return self._without_rules(args, keywords)
        if watch.stages.is_plain:
            return self.function(*args, **keywords)
        notes: StageNotes = watch.stages.notes(self.name, self.derivative, self.setting)
        notes.calls += 1
        if self.derivative == "local":
            return self._noted(notes, args, keywords)
        run = current.require(f"stage {self.name}")
        if run.preemption is not None:
            raise _failing(
                UsageError,
                f"stage {self.name} declares derivative={self.derivative!r}, and threads of this run are interrupted "
                "anywhere, so that others would act inside of it; leave preemption out",
            )
        step = run.step_index
        result = self._by_rule(watch, notes, args, keywords)
        if run.step_index != step:
            raise _failing(
                UsageError,
                f"stage {self.name} holds a schedule point, such as an operation on a detrun.Atomic or a lock of a "
                "thread, where others act inside of it; do that before or after the stage, and pass it what it needs",
            )
        return result

    def _by_rule(self, watch: Any, notes: StageNotes, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        if self.derivative in ("stop", "finite"):
            again = DrawsAgain(self.name, current.run)  # before the first call makes its draws
            watch.stages.is_plain = True
            try:
                result = self._on_plain_numbers(args, keywords)
            finally:
                watch.stages.is_plain = False
            if self.derivative == "stop":
                return self.trees.replace(primal_of_value, result, "result")
            return self._with_differences(result, args, keywords, notes, again)
        if self.derivative == "policy":
            with watch.scoring(self.name):
                return self._noted(notes, args, keywords)
        assert self.setting is not None
        with temperature_of(self.setting):
            return self._noted(notes, args, keywords)

    def _noted(self, notes: StageNotes, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """The function as it runs with Values."""
        before, draws_before = _sites_passed()
        result = self.function(*args, **keywords)
        passed, draws = _sites_passed()
        if self.derivative == "policy":
            notes.scored += draws - draws_before
            passed -= draws - draws_before
        notes.decided += passed - before
        notes.outputs += [leaf.id for leaf in self.trees.leaves(result, "result") if isinstance(leaf, Value)]
        return result

    def _without_rules(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """In a run whose gradient, if there is one, honours no stages."""
        if self.derivative == "local":
            return self.function(*args, **keywords)
        if not any(isinstance(leaf, Value) for leaf in self._inputs(args, keywords)):
            return self.function(*args, **keywords)
        if self.derivative == "stop":
            return self.trees.replace(primal_of_value, self._on_plain_numbers(args, keywords), "result")
        raise _failing(
            UsageError,
            f"stage {self.name} declares derivative={self.derivative!r}, which this gradient does not honour; use "
            "kind='local' with samples=N, or kind='finite', which runs the whole program on plain numbers",
        )

    def _inputs(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
        found = [leaf for place, one in enumerate(args) for leaf in self.trees.leaves(one, f"args[{place}]")]
        return found + [leaf for key, one in keywords.items() for leaf in self.trees.leaves(one, key)]

    def _on_plain_numbers(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """What the function makes of the numbers alone."""
        before = [primal_of_value(leaf) for leaf in self._inputs(args, keywords)]
        bare = [self.trees.replace(primal_of_value, one, f"args[{place}]") for place, one in enumerate(args)]
        named = {key: self.trees.replace(primal_of_value, one, key) for key, one in keywords.items()}
        result = self.function(*bare, **named)
        if self._inputs(bare, named) != before:
            raise _failing(
                UsageError,
                f"stage {self.name} has changed its arguments, of which it gets a copy on plain numbers; return what "
                "it makes of them",
            )
        return result

    def _numbers(self, result: Any) -> list[float]:
        """The numbers of a result, in order."""
        found = []
        for leaf in self.trees.leaves(result, "result"):
            if isinstance(leaf, Value):
                raise _failing(
                    NotDifferentiableError,
                    f"stage {self.name} returned a Value, although its arguments were plain numbers: a parameter "
                    "reaches it in another way, past its differences; pass it as an argument",
                )
            if not isinstance(leaf, _PLAIN):
                raise _failing(
                    UsageError,
                    f"stage {self.name} returned a {type(leaf).__name__}, whose numbers differences do not reach; "
                    "return numbers, in lists, tuples, dicts or dataclasses",
                )
            if _is_number(leaf):
                found.append(float(leaf))  # type: ignore[arg-type]
        return found

    def _with_differences(
        self, result: Any, args: Sequence[Any], keywords: Mapping[str, Any], notes: StageNotes, again: DrawsAgain
    ) -> Any:
        """The result with the histories that differences give to its numbers."""
        inputs = [leaf for leaf in self._inputs(args, keywords) if isinstance(leaf, Value)]
        numbers = self._numbers(result)
        notes.evaluations += 1
        if not inputs:
            return result
        notes.held += any(isinstance(leaf, _TEXT) for leaf in self.trees.leaves(result, "result"))
        if not numbers:
            return result
        assert self.setting is not None
        at = [value.primal for value in inputs]
        evaluate = self._evaluation(args, keywords, at, len(numbers), notes, again)
        if not all(map(_same, evaluate(at), numbers)):
            raise _failing(
                UsageError,
                f"stage {self.name} gives something else when it is called again with the same numbers and draws: it "
                "keeps a state, which differences would change; pass the state in and return it",
            )
        rows, errors = jacobian(evaluate, at, self.setting)
        made = [_linear(number, inputs, row) for number, row in zip(numbers, rows, strict=True)]
        ids = [value.id for value in made]
        notes.outputs += ids
        notes.crossings.append(Crossing([value.id for value in inputs], ids, errors))
        replaced = iter(made)
        return self.trees.map(lambda leaf: next(replaced) if _is_number(leaf) else leaf, result)

    def _evaluation(
        self,
        args: Sequence[Any],
        keywords: Mapping[str, Any],
        at: Sequence[float],
        count: int,
        notes: StageNotes,
        again: DrawsAgain,
    ) -> Callable[[Sequence[float]], list[float]]:
        """The function of the numbers that go in, as `jacobian` calls it."""

        def evaluate(numbers: Sequence[float]) -> list[float]:
            moved = iter(numbers)
            bare = [self.trees.map(lambda leaf: next(moved) if isinstance(leaf, Value) else leaf, one) for one in args]
            named = {
                key: self.trees.map(lambda leaf: next(moved) if isinstance(leaf, Value) else leaf, one)
                for key, one in keywords.items()
            }
            notes.evaluations += 1
            try:
                with again.standing_in():
                    found = self._numbers(self.function(*bare, **named))
            except DetrunError as error:
                assert current.run is not None
                current.run.fail(error)
                raise
            except Exception as error:
                raise _failing(
                    NotDifferentiableError,
                    f"stage {self.name} raises {type(error).__name__} ({error}) at {list(numbers)}, where its "
                    f"differences look, 2 * step around {list(at)}; take a smaller step, or return a number there",
                ) from error
            if len(found) != count:
                raise _failing(
                    NotDifferentiableError,
                    f"stage {self.name} returns {count} numbers, and {len(found)} at {list(numbers)}; differences need "
                    "as many on both sides: pad its result, or declare another derivative",
                )
            return found

        return evaluate


def _failing(kind: type[DetrunError], message: str) -> DetrunError:
    """The error, which ends the run whatever the program makes of it: a program that goes on would be another one."""
    error = kind(message)
    if current.run is not None:
        current.run.fail(error)
    return error


def primal_of_value(leaf: Any) -> Any:
    """The bare number of a Value; anything else as it is."""
    return primal_of(leaf) if isinstance(leaf, Value) else leaf


def _linear(number: float, inputs: Sequence[Value], partials: Sequence[float]) -> Value:
    return record_pullback(number, inputs, lambda adjoint: [adjoint * one for one in partials])


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, Value | float | int) and not isinstance(leaf, bool)


def _same(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)


def _sites_passed() -> tuple[int, int]:
    """Places passed so far where a parameter decides, and how many of them are draws."""
    if state.tape is None:
        return 0, 0
    sites = state.tape.sites
    return sites.count, sum(site.count for site in sites if site.kind in OF_DRAWS)
