"""`check_determinism`: runs a program again and reports the first step at which it differs.

The verdict depends on behaviour alone: the digests of whole runs, which cover schedule, events, values, times and
result. Two runs that agree in these are equal, whatever their variables held. Where they disagree, traces of both say
at which step anything that a `detrun.determinism.tracing.Tracer` sees differed first, often a local variable some steps
before the behaviour. That is where to look; it does not prove a cause, so none is claimed.

In one process the second run meets what the first has left behind (caches, addresses, the clock); in a fresh process
it meets another hash seed too. A check can only find what differs between the runs that it makes: two strings in a set
come out in the same order every other time.
"""

from __future__ import annotations

import linecache
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from detrun.determinism.fresh_process import importable_target, pack_arguments, traced_in_fresh_process
from detrun.determinism.tracing import DETAILS_MAX, Look, StepTrace, Trace, traced
from detrun.execution.program import Main, check_main, target_of
from detrun.version import DOCUMENTATION
from detrun_scheduler.errors import NondeterminismError, UsageError
from detrun_scheduler.strategies import OLD_NAMES, STRATEGIES
from detrun_scheduler.watchdog import STEP_TIMEOUT

FRESH_PROCESS_SECONDS = 600.0
ITEMS_SHOWN_MAX = 8

# One hash seed for each fresh process, none of them one that people set.
_FIRST_HASH_SEED = 20_011

TRACED_BEFORE = DETAILS_MAX // 2  # steps in detail before a difference that lies beyond the first DETAILS_MAX


class Item(NamedTuple):
    """One thing that differs in a step."""

    what: str  # "local variable 'names'", "events", "time", …
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.what}: {self.first} in run 1, {self.second} in the other"


@dataclass(frozen=True, slots=True)
class StepDifference:
    """A step in which two runs differ."""

    step: int  # counted from 0
    time: float | None  # virtual seconds before the step (after it, where details are not kept), None if not known
    task: str  # path, or "" where a run had ended or details are not kept
    place: str  # "file:line in function" of the innermost user frame in run 1, or ""
    code: str  # that line of the source, or ""
    items: tuple[Item, ...]

    def __str__(self) -> str:
        at = "" if self.time is None else f", virtual time {self.time:g} s"
        task = f", task {self.task}" if self.task else ""
        place = f" at {self.place}" if self.place else ""
        lines = [f"step {self.step:,}{at}{task}{place}"]
        if self.code:
            lines.append(f"      {self.code}")
        lines.extend(f"    {item}" for item in self.items[:ITEMS_SHOWN_MAX])
        if len(self.items) > ITEMS_SHOWN_MAX:
            lines.append(f"    and {len(self.items) - ITEMS_SHOWN_MAX} more")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Difference:
    """How two runs of one program with one seed differed; the attribute ``difference`` of a `NondeterminismError`."""

    program: str
    seed: int
    run: int  # the run that differed from run 1
    fresh_process: bool
    first: StepDifference | None  # where anything traced differed first; None: only the results differ
    behaviour: StepDifference | None  # where the behaviour differed first; None: only the results differ
    results: tuple[str, str] | None  # how the runs ended, if that differs

    def __str__(self) -> str:
        where = " in a fresh process under another hash seed" if self.fresh_process else ""
        lines = [f"{self.program} with seed {self.seed} is not deterministic: run {self.run}{where} differs from run 1"]
        if self.first is not None:
            lines.append(f"  first difference: {self.first}")
        if self.behaviour is not None and (self.first is None or self.behaviour.step != self.first.step):
            lines.append(f"  first different behaviour: {self.behaviour}")
        if self.results is not None:
            alone = "" if self.behaviour is not None else "every step behaves the same, but the results differ: "
            lines.append(f"  {alone}run 1 {self.results[0]}, run {self.run} {self.results[1]}")
        causes = [
            "an unseeded generator, a clock imported by name, id() or the order of objects",
            "the order of a set of strings, hash(), the environment"
            if self.fresh_process
            else "state that outlives a run (a module-level cache, a changed argument)",
        ]
        lines.append(f"  possible causes, none of them established: {'; '.join(causes)}")
        lines.append(f"  what a run controls and what escapes it: {DOCUMENTATION}/determinism.md")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Determinism:
    """A passed check: every run did the same.

    Attributes:
        program: its name.
        seed: of all runs.
        runs: how many were compared.
        fresh_process: whether all but the first ran in fresh processes.
        steps: taken by each.
        virtual_time: seconds of each.
        digest: of each.
        ended: ``returned …`` or ``raised …``: failing the same way every time is deterministic.
        failed: whether the program raised.
    """

    program: str
    seed: int
    runs: int
    fresh_process: bool
    steps: int
    virtual_time: float
    digest: str
    ended: str
    failed: bool

    def __str__(self) -> str:
        where = ", all but the first in fresh processes under other hash seeds" if self.fresh_process else ""
        return (
            f"{self.program} with seed {self.seed}: {self.runs} runs agree{where} "
            f"({self.steps:,} steps, {self.virtual_time:g} virtual seconds, digest {self.digest}); it {self.ended}"
        )


def check_determinism(
    main: Main,
    *args: object,
    seed: int = 0,
    runs: int = 2,
    fresh_process: bool = False,
    strategy: str = "random",
    max_steps: int | None = None,
    preemption: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    thread_errors: bool = False,
    early_timers: int = 0,
    collections: int = 0,
    step_timeout: float | None = STEP_TIMEOUT,
    backend: str = "auto",
    asyncio_order: str | None = None,
    timeout_seconds: float = FRESH_PROCESS_SECONDS,
) -> Determinism:
    """Run ``main(*args)`` several times with one seed and compare.

    Args:
        main: a function, async or not; with ``fresh_process`` one at the top level of a file.
        args: its arguments; with ``fresh_process`` plain values.
        seed: of every run.
        runs: how many, at least 2.
        fresh_process: make every run but the first in a fresh Python process under another ``PYTHONHASHSEED``.
        strategy: the name of a strategy.
        max_steps: end each run with `StepLimitError` after so many steps.
        preemption, include, exclude, thread_errors, early_timers, collections, step_timeout, backend, asyncio_order: as
            for `detrun.record`.
        timeout_seconds: real seconds that a fresh process may take.

    A program that raises the same exception in every run passes. A traced step costs about 10 µs more than a recorded
    one, one of the first 5,000 about 50 µs (Python 3.11, 2-core machine).

    Raises:
        NondeterminismError: two runs differ; the `Difference` is its attribute ``difference``.
        FreshProcessError: a fresh process crashed or took too long.
        UsageError: a wrong argument; or as for `detrun.record`.
    """
    check_main(main)
    if type(runs) is not int or runs < 2:
        raise UsageError(f"check_determinism: runs={runs!r}; at least 2 runs are needed to compare any")
    if not isinstance(strategy, str) or OLD_NAMES.get(strategy, strategy) not in STRATEGIES:
        raise UsageError(
            f"check_determinism: unknown strategy {strategy!r}; choose one of {', '.join(sorted(STRATEGIES))} by name: "
            "an oracle that is used again may remember"
        )

    surroundings = {
        "preemption": preemption,
        "include": list(include),
        "exclude": list(exclude),
        "thread_errors": thread_errors,
        "early_timers": early_timers or None,
        "collections": collections or None,
        "step_timeout": step_timeout,
        "backend": backend,
        "asyncio_order": asyncio_order,
    }

    def here(first_detail: int, expected: array[int] | None = None) -> Trace:
        return traced(
            main,
            args,
            seed=seed,
            strategy=strategy,
            max_steps=max_steps,
            first_detail=first_detail,
            expected=expected,
            surroundings=surroundings,
        )

    def again(number: int, first_detail: int, expected: array[int]) -> Trace:
        if not fresh_process:
            return here(first_detail, expected)
        return traced_in_fresh_process(
            target,
            arguments,
            seed=seed,
            strategy=strategy,
            max_steps=max_steps,
            first_detail=first_detail,
            hash_seed=_FIRST_HASH_SEED + number,
            timeout_seconds=timeout_seconds,
            surroundings=surroundings,
        )

    target, arguments = (importable_target(main), pack_arguments(args)) if fresh_process else ("", b"")
    program = target_of(main)
    first = here(0)
    for number in range(2, runs + 1):
        other = again(number, 0, first.behaviour)
        if other.digest == first.digest:
            continue
        difference = _difference(program, seed, number, fresh_process, first, other)
        step = difference.first.step if difference.first is not None else first.steps - 1
        if step >= DETAILS_MAX:
            # Beyond the steps kept in detail: both once more, with the details there. They may agree this time.
            start = max(0, step - TRACED_BEFORE)
            closer_first = here(start)
            closer_other = again(number, start, closer_first.behaviour)
            closer = _difference(program, seed, number, fresh_process, closer_first, closer_other)
            if closer.first is not None and closer.first.items:
                difference = closer
        error = NondeterminismError(str(difference))
        error.difference = difference
        raise error
    return Determinism(
        program, seed, runs, fresh_process, first.steps, first.virtual_time, first.digest, first.ended, first.failed
    )


def _difference(program: str, seed: int, run: int, fresh_process: bool, first: Trace, other: Trace) -> Difference:
    behaviour = _first_different(first.behaviour, other.behaviour)
    detailed = _first_different(first.details, other.details)
    # Details end where the kept steps end: that one run has fewer of them does not make a difference in what they hold.
    anything = behaviour
    if detailed is not None and detailed < min(len(first.details), len(other.details)):
        detailed += first.first_detail
        anything = detailed if behaviour is None else min(detailed, behaviour)
    return Difference(
        program,
        seed,
        run,
        fresh_process,
        None if anything is None else _at(anything, first, other),
        None if behaviour is None else _at(behaviour, first, other),
        (first.ended, other.ended) if first.ended != other.ended or behaviour is None else None,
    )


def _first_different(first: Sequence[object], other: Sequence[object]) -> int | None:
    for step, (one, another) in enumerate(zip(first, other, strict=False)):
        if one != another:
            return step
    return None if len(first) == len(other) else min(len(first), len(other))


def _at(step: int, first: Trace, other: Trace) -> StepDifference:
    one, another = first.detail(step), other.detail(step)
    if one is None and another is None:
        if other.left is None or other.left[0] != step:
            return StepDifference(step, None, "", "", "", ())
        # One side only: no values to compare, but the task and the place.
        trace = other.left[1]
        look = trace.looks[-1] if trace.looks else None
        return StepDifference(step, trace.time, trace.task, look.place if look else "", _code(look), ())
    before = first.detail(step - 1)
    time = before.time if before is not None else 0.0 if step == 0 else None
    if one is None or another is None:
        ended = Item("the run", *("had ended" if trace is None else "went on" for trace in (one, another)))
        running = one or another
        assert running is not None
        look = running.looks[-1] if running.looks else None
        return StepDifference(step, time, running.task, look.place if look else "", _code(look), (ended,))
    look, items = _compare(one, another)
    return StepDifference(step, time, one.task, look.place if look else "", _code(look), tuple(items))


def _code(look: Look | None) -> str:
    return linecache.getline(look.file, look.line).strip() if look is not None else ""


def _compare(one: StepTrace, another: StepTrace) -> tuple[Look | None, list[Item]]:
    """The frame in which the first difference lies, else the last one seen, and all that differs."""
    items: list[Item] = []
    if one.task != another.task:
        items.append(Item("the task that ran", one.task, another.task))
    look = None
    for mine, theirs in zip(one.looks, another.looks, strict=False):
        before = len(items)
        if mine.place != theirs.place:
            items.append(Item("the place", mine.place, theirs.place))
        for name in dict.fromkeys([*mine.variables, *theirs.variables]):
            values = mine.variables.get(name, "not set"), theirs.variables.get(name, "not set")
            if values[0] != values[1]:
                items.append(Item(f"local variable {name!r}", *values))
        if len(items) > before and look is None:
            look = mine
    if len(one.looks) != len(another.looks):
        items.append(
            Item("functions that returned", *(", ".join(look.function for look in t.looks) for t in (one, another)))
        )
    if one.ended != another.ended:
        items.append(Item("how the step ended", one.ended, another.ended))
    if one.events != another.events:
        items.append(Item("events", *(", ".join(trace.events) or "none" for trace in (one, another))))
    if one.time != another.time:
        items.append(Item("virtual time after the step", f"{one.time!r} s", f"{another.time!r} s"))
    if one.values != another.values and one.events == another.events and one.time == another.time:
        items.append(Item(f"a value in {', '.join(one.events)}", "one", "another one"))
    return look or (one.looks[-1] if one.looks else None), items
