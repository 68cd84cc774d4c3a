"""`StageRules`: what a call of a stage does, in runs whose gradient honours its rule and in others; see `stage`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from detrun.ad import state
from detrun.ad.adjoint_rules import Rule
from detrun.ad.temperature import temperature_of
from detrun.ad.trees import Trees, UnknownContainer
from detrun.ad.value import Value, apply, primal_of
from detrun.effects.stage_calls import Crossing, StageNotes, watcher
from detrun.effects.stage_coroutines import driven
from detrun.effects.stage_differences import DrawsAgain, jacobian
from detrun_scheduler import current
from detrun_scheduler.errors import DetrunError, NotDifferentiableError, UsageError

# Sites that are draws: a policy stage scores them.
OF_DRAWS = ("bernoulli", "poisson", "choice", "binomial", "geometric")
_TEXT = (bool, str, bytes)
_PLAIN = (Value, float, int, bool, str, bytes, type(None))


def trees_of(name: str) -> Trees:
    """What finds numbers in the arguments and results of a stage."""
    return Trees(
        f"stage {name}",
        leaf_types=_PLAIN,
        unknown=UnknownContainer.OPAQUE,
        advice="Pass it in a list, tuple, dict or dataclass",
    )


@dataclass(frozen=True, slots=True)
class StageRules:
    """One stage: its function, as it is called in runs that honour its rule and in others.

    Attributes:
        function, derivative, step, temperatures, baseline, name: as declared.
        trees: finds the numbers of arguments and results.
    """

    function: Callable[..., Any]
    derivative: str
    step: float | None
    temperatures: tuple[float, ...]
    baseline: str
    name: str
    trees: Trees

    def call(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """Call the function."""
        if not state.values_exist():
            return self.function(*args, **keywords)
        watch = watcher()
        if watch is None:
            return self._without_rules(args, keywords)
        if watch.stages.is_plain:
            return self.function(*args, **keywords)
        notes = self._called(watch)
        if self.derivative == "local":
            return self._by_rule(watch, notes, args, keywords)
        run = self._uninterrupted()
        step = run.step_index
        result = self._by_rule(watch, notes, args, keywords)
        if run.step_index != step:
            raise _failing(
                UsageError,
                f"stage {self.name} holds a schedule point, such as an operation on a detrun.Atomic or a lock of a "
                "thread, where others act inside of it; do that before or after the stage, and pass it what it needs",
            )
        return result

    async def call_later(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """The same of a coroutine function."""
        watch = watcher() if state.values_exist() else None
        if watch is None or watch.stages.is_plain:
            if state.values_exist() and watch is None and self._is_refused_without_rules(args, keywords):
                raise self._refused()
            if self.derivative == "stop" and state.values_exist():
                bare = self._bare(args, keywords)
                return self.trees.replace(primal_of_value, await self.function(*bare[0], **bare[1]), "result")
            return await self.function(*args, **keywords)
        notes = self._called(watch)
        self._uninterrupted()
        if self.derivative == "stop":
            bare = self._bare(args, keywords)
            result = await driven(self.function(*bare[0], **bare[1]), watch.stages.plain, self._started)
            return self.trees.replace(primal_of_value, result, "result")
        result = await driven(self.function(*args, **keywords), lambda: self._in_force(watch, notes), self._started)
        notes.outputs += [leaf.id for leaf in self.trees.leaves(result, "result") if isinstance(leaf, Value)]
        return result

    def _called(self, watch: Any) -> StageNotes:
        stages = watch.stages.stages
        if self.name not in stages:
            setting = self.step if not self.temperatures else self.temperatures[-1]
            stages[self.name] = StageNotes(self.derivative, setting, self.temperatures, self.baseline)
        notes: StageNotes = stages[self.name]
        notes.calls += 1
        return notes

    def _uninterrupted(self) -> Any:
        run = current.require(f"stage {self.name}")
        if run.preemption is not None and self.derivative != "local":
            raise _failing(
                UsageError,
                f"stage {self.name} declares derivative={self.derivative!r}, and threads of this run are interrupted "
                "anywhere, so that others would act inside of it; leave preemption out",
            )
        return run

    def _started(self) -> DetrunError | None:
        """What to say of a coroutine that has started a task."""
        if self.derivative == "local":
            return None
        return _failing(
            UsageError,
            f"stage {self.name} declares derivative={self.derivative!r} and starts tasks, whose steps would be outside "
            "of it; start them before or after the stage",
        )

    @contextmanager
    def _in_force(self, watch: Any, notes: StageNotes) -> Iterator[None]:
        """The rule of a stage that is taped, for the length of one piece of it."""
        with ExitStack() as stack:
            if self.derivative == "policy":
                stack.enter_context(watch.scoring(self.name))
            elif self.derivative == "relaxed":
                level = watch.stages.level
                last = len(self.temperatures) - 1
                stack.enter_context(temperature_of(self.temperatures[last if level is None else min(level, last)]))
            before, draws_before = _sites_passed()
            try:
                yield
            finally:
                passed, draws = _sites_passed()
                if self.derivative == "policy":
                    notes.scored += draws - draws_before
                    passed -= draws - draws_before
                notes.decided += passed - before

    def _by_rule(self, watch: Any, notes: StageNotes, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        if self.derivative in ("stop", "finite"):
            again = DrawsAgain(self.name, current.run)  # before the first call makes its draws
            with watch.stages.plain():
                result = self._on_plain_numbers(args, keywords)
            if self.derivative == "stop":
                return self.trees.replace(primal_of_value, result, "result")
            replaced = watch.stages.replaced
            if replaced is not None and (replaced.name, replaced.call) == (self.name, notes.calls):
                others = iter(replaced.numbers)
                return self.trees.map(lambda leaf: next(others) if _is_number(leaf) else leaf, result)
            if not watch.stages.takes_slopes:
                return result
            return self._with_differences(result, args, keywords, notes, again)
        with self._in_force(watch, notes):
            result = self.function(*args, **keywords)
        notes.outputs += [leaf.id for leaf in self.trees.leaves(result, "result") if isinstance(leaf, Value)]
        return result

    def _without_rules(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """In a run whose gradient, if there is one, honours no stages."""
        if self._is_refused_without_rules(args, keywords):
            raise self._refused()
        if self.derivative == "finite" and self._has_values(args, keywords):
            return self._on_plain_numbers(args, keywords)
        if self.derivative == "stop":
            return self.trees.replace(primal_of_value, self._on_plain_numbers(args, keywords), "result")
        return self.function(*args, **keywords)

    def _is_refused_without_rules(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
        # Without notes there is no gradient: Values come from torch then, which has them in plain runs, too.
        return state.noting and self.derivative not in ("local", "stop") and self._has_values(args, keywords)

    def _has_values(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
        return any(isinstance(leaf, Value) for leaf in self._inputs(args, keywords))

    def _refused(self) -> DetrunError:
        return _failing(
            UsageError,
            f"stage {self.name} declares derivative={self.derivative!r}, which this gradient does not honour; use "
            "kind='local' with samples=N, kind='expected', or kind='finite', which runs the whole program on plain "
            "numbers",
        )

    def _bare(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments with bare numbers."""
        return (
            [self.trees.replace(primal_of_value, one, f"args[{place}]") for place, one in enumerate(args)],
            {key: self.trees.replace(primal_of_value, one, key) for key, one in keywords.items()},
        )

    def _inputs(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
        found = [leaf for place, one in enumerate(args) for leaf in self.trees.leaves(one, f"args[{place}]")]
        return found + [leaf for key, one in keywords.items() for leaf in self.trees.leaves(one, key)]

    def _on_plain_numbers(self, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """What the function makes of the numbers alone."""
        before = [primal_of_value(leaf) for leaf in self._inputs(args, keywords)]
        bare, named = self._bare(args, keywords)
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
        assert self.step is not None
        at = [value.primal for value in inputs]
        evaluate = self._evaluation(args, keywords, at, len(numbers), notes, again)
        if not all(map(_same, evaluate(at), numbers)):
            raise _failing(
                UsageError,
                f"stage {self.name} gives something else when it is called again with the same numbers and draws: it "
                "keeps a state, which differences would change; pass the state in and return it",
            )
        rows, errors, sides = jacobian(evaluate, at, self.step)
        made = [_linear(number, inputs, row, self.name) for number, row in zip(numbers, rows, strict=True)]
        ids = [value.id for value in made]
        notes.outputs += ids
        notes.crossings.append(Crossing([value.id for value in inputs], ids, errors, notes.calls, sides))
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


def _linear(number: float, inputs: Sequence[Value], partials: Sequence[float], name: str) -> Value:
    """The number as an operation whose partials are those of the differences."""
    result: Value = apply(Rule(f"stage {name}", lambda *_: number, lambda *_: tuple(partials)), *inputs)
    return result


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
