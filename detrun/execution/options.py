"""`Options`: the surroundings of a run, as given by its caller and as kept in a recording's header.

A replay is surrounded as the recorded run was: a thread that is not interrupted where it was has other steps, and where
a livelock, a data race or a thread's exception was the failure, it must be looked for again. Options that the caller of
the replay gives come first. The header is not trusted: an entry that makes no sense counts as absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import trio

from detrun.execution.backends import ASYNCIO_ORDERS, check_backend, runs_in_asyncio
from detrun.execution.program import Main, is_synchronous
from detrun.execution.scope import RunScope
from detrun_recorder.recording import Recording
from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import THREAD_RULES
from detrun_scheduler.strategies.planned_actions import PlannedActions
from detrun_scheduler.threads.preemption import GRANULARITIES, Preemption
from detrun_scheduler.threads.watched_code import package_include, project_include
from detrun_scheduler.watchdog import STEP_TIMEOUT

if TYPE_CHECKING:
    from detrun.primitives.draw_log import WatchedDraws
    from detrun.primitives.forcing import Address, Forces
    from detrun.primitives.score_terms import ScoreTerms
    from detrun_recorder.token import ScheduleToken


@dataclass(slots=True, kw_only=True)
class Options:
    """What surrounds a run; the fields are keyword arguments of `detrun.record` or `detrun.explore`.

    Attributes:
        preemption: None is ``"sync"``, or in a replay whatever the recording says. A campaign gives one `Preemption`
            for all its runs.
        watch: surrounds the run closely, inside the scope of a gradient: race detection.
        thread_errors: fail by exceptions that leave threads. None: no, or in a replay whatever the recording says.
        fault_lengths: planned faults that are left out (0) or last a share of their time, by name. None: none, or in a
            replay whatever the recording says.
        only_at: places that ``preemption`` is restricted to, see `Preemption`; None: none, or in a replay whatever the
            recording says.
        step_timeout: real seconds; see `detrun_scheduler.watchdog`. No part of a recording.
        interrupts_max: how often in a run ``preemption`` interrupts threads, see `Preemption`; None: without a limit,
            or in a replay whatever the recording says.
        thread_rules: by which rules threads are scheduled; others than today's in replays of old recordings only.
        early_timers: how often the next timer fires although tasks can run, at most; None: never, or as the strategy
            has it. A replay does what its schedule says.
        collections: how often the garbage collector runs, in the same way.
        force: draws that come out as this says, see `detrun.primitives.forcing`. None: none, or in a replay whatever
            the recording says.
        forces: what forces draws in place of that; for those who change their minds while the run goes on.
        draws: whether the run keeps a log of its draws. No part of a recording, as are
        noises: whether the noise beneath continuous draws is a `Value`, and which are held where
            (`detrun.primitives.draw_log.WatchedDraws`), and
        terms: what is added to the derivative of the loss.
        backend: whose async function the program is, see `backends`. In a replay ``"auto"`` is what the recording says.
        asyncio_order: in which order the tasks of asyncio go on, see `asyncio_host.lanes`. None: ``"any"``, or in a
            replay whatever the recording says.
    """

    max_steps: int | None = None
    observe: Callable[[], object] | None = None
    instruments: Sequence[trio.abc.Instrument] = ()
    strict_exception_groups: bool = True
    restrict_keyboard_interrupt_to_checkpoints: bool = False
    preemption: str | Preemption | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    watch: RunScope | None = None
    thread_errors: bool | None = None
    fault_lengths: Mapping[str, float] | None = None
    thread_rules: int = THREAD_RULES
    step_timeout: float | None = STEP_TIMEOUT
    only_at: Sequence[str] | None = None
    interrupts_max: int | None = None
    early_timers: int | None = None
    collections: int | None = None
    force: Mapping[Address, Any] | None = None
    forces: Forces | None = None
    draws: bool = False
    noises: Mapping[Address, float] | None = None
    terms: ScoreTerms | None = None
    backend: str = "auto"
    asyncio_order: str | None = None

    def __post_init__(self) -> None:
        limit = self.max_steps
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise UsageError(f"max_steps={limit!r} must be an integer of at least 1, or None for no limit")
        seconds = self.step_timeout
        if seconds is not None and not (isinstance(seconds, int | float) and seconds > 0):
            raise UsageError(f"step_timeout={seconds!r} must be a positive number of seconds, or None for no limit")
        for name, count in (("early_timers", self.early_timers), ("collections", self.collections)):
            if count is not None and (not isinstance(count, int) or count < 0):
                raise UsageError(f"{name}={count!r} must be an integer of at least 0, or None for what is usual")
        check_backend(self.backend, self.asyncio_order or "any")
        if self.force is not None:
            from detrun.primitives.forcing import check_force  # as below: few runs need it

            self.force = check_force(self.force)

    def actor(self) -> PlannedActions | None:
        """What decides when a new run acts by itself; None: its oracle, if that knows of actions."""
        if self.early_timers is None and self.collections is None:
            return None
        return PlannedActions(self.early_timers or 0, self.collections or 0)

    def of_replays(self) -> Options:
        """These options without what decides when a new run acts by itself: a recording says that."""
        if self.early_timers is None and self.collections is None:
            return self
        return replace(self, early_timers=None, collections=None)

    def watched_draws(self) -> WatchedDraws | None:
        """What stands between a new run and its draws; None if nothing asks for it."""
        if not (self.force or self.forces or self.draws or self.noises is not None or self.terms is not None):
            return None
        from detrun.primitives.draw_log import WatchedDraws
        from detrun.primitives.forcing import Forces

        forces = self.forces
        if forces is None and self.force:
            forces = Forces(self.force)
        return WatchedDraws(log=self.draws, forces=forces, terms=self.terms, noises=self.noises)

    def header(self) -> dict[str, Any]:
        """What a recording says of the options: plain data, for its header's ``extra``."""
        found: dict[str, Any] = {"max_steps": self.max_steps, "thread_rules": self.thread_rules}
        found.update(self._preemption_in_header())
        if self.watch is not None:
            found.update(self.watch.recorded_as)
        if self.observe is not None:
            found["observe"] = True
        if self.thread_errors:
            found["thread_errors"] = True
        if self.fault_lengths:
            found["fault_lengths"] = dict(self.fault_lengths)
        for name, count in (("early_timers", self.early_timers), ("collections", self.collections)):
            if count:
                found[name] = count
        if self.backend == "asyncio":
            found["backend"] = self.backend
        if self.asyncio_order not in (None, "any"):
            found["asyncio_order"] = self.asyncio_order
        if self.force:
            from detrun.primitives.forcing import to_header

            found["force"] = to_header(self.force)
        return found

    def _preemption_in_header(self) -> dict[str, Any]:
        chosen = self.preemption
        if chosen is None or chosen == "sync":
            return {}
        if isinstance(chosen, Preemption):
            granularity, include, exclude = chosen.granularity, chosen.include, chosen.exclude
            only_at: Sequence[str] | None = None if chosen.only_at is None else chosen.only_at.names
            most = chosen.interrupts_max
        else:
            granularity, include, exclude = chosen, tuple(self.include), tuple(self.exclude)
            only_at, most = self.only_at, self.interrupts_max
        found: dict[str, Any] = {"preemption": granularity, "include": list(include), "exclude": list(exclude)}
        if only_at is not None:
            found["only_at"] = "\n".join(only_at)
        if most is not None:
            found["interrupts_max"] = most
        return found

    def resolved(self, main: Main) -> Options:
        """These options for ``main``: with its backend, and the code that is watched by default, if threads are
        interrupted there.
        """
        if self.backend == "auto" and not is_synchronous(main):
            return replace(self, backend="asyncio" if runs_in_asyncio(main, "auto") else "trio").resolved(main)
        if self.include or self.preemption not in GRANULARITIES[1:]:
            return self
        return replace(self, include=project_include(main))

    def with_recorded(self, recording: Recording, main: Main) -> Options:
        """These options, with what the recording of ``main`` says where they say nothing."""
        options, found = self, header_extra(recording)
        if options.max_steps is None:
            limit = found.get("max_steps")
            options = replace(options, max_steps=limit if type(limit) is int and limit > 0 else None)
        if options.preemption is None and found.get("preemption") in GRANULARITIES:
            patterns = _recorded_patterns(found)
            if found["preemption"] != "sync" and not patterns.get("include"):
                patterns["include"] = package_include(main)  # what it meant before recordings said
            most = found.get("interrupts_max")
            options = replace(
                options,
                preemption=found["preemption"],
                only_at=_recorded_places(found),
                interrupts_max=most if type(most) is int and most >= 0 else None,
                **patterns,
            )
        if options.thread_errors is None:
            options = replace(options, thread_errors=found.get("thread_errors") is True)
        if options.force is None and "force" in found:
            from detrun.primitives.forcing import from_header

            options = replace(options, force=from_header(found.get("force")))
        if options.backend == "auto":
            options = replace(options, backend="asyncio" if found.get("backend") == "asyncio" else "trio")
        if options.asyncio_order is None and found.get("asyncio_order") in ASYNCIO_ORDERS:
            options = replace(options, asyncio_order=found["asyncio_order"])
        return replace(options, thread_rules=_recorded_rules(found))

    def with_token(self, token: ScheduleToken) -> Options:
        """These options, with what a token says of preemption where they say nothing."""
        if self.preemption is not None or token.preemption not in GRANULARITIES:
            return self
        return replace(
            self,
            preemption=token.preemption,
            include=token.include,
            exclude=token.exclude,
            interrupts_max=token.interrupts_max,
            only_at=token.only_at,
        )


def header_extra(recording: Recording) -> dict[str, Any]:
    """What the header of a recording says of the options; empty if it says nothing that makes sense."""
    extra = recording.header.get("extra")
    return extra if isinstance(extra, dict) else {}


def _recorded_rules(found: dict[str, Any]) -> int:
    rules = found.get("thread_rules")
    if type(rules) is not int or rules < 1:
        return 1
    if rules > THREAD_RULES:
        raise UsageError(
            f"the recording was made under version {rules} of the rules by which threads are scheduled, and this "
            f"detrun knows versions up to {THREAD_RULES}; install the detrun that made it, or a newer one"
        )
    return rules


def _recorded_places(found: dict[str, Any]) -> Sequence[str] | None:
    places = found.get("only_at")
    return places.splitlines() if isinstance(places, str) else None


def _recorded_patterns(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(one for one in value if isinstance(one, str))
        for name in ("include", "exclude")
        if isinstance(value := found.get(name), list)
    }


def preemption_of(main: Main, options: Options) -> Preemption | None:
    """Where the threads of a run of ``main`` are interrupted; None for synchronization operations only."""
    chosen = options.preemption
    if isinstance(chosen, Preemption):
        return chosen
    if chosen is None or chosen == "sync":
        if options.include or options.exclude:
            raise UsageError("include= and exclude= say what to preempt; choose preemption='line' or 'opcode', too")
        return None
    if chosen not in GRANULARITIES:
        raise UsageError(f"unknown preemption {chosen!r}; choose one of {', '.join(GRANULARITIES)}")
    return Preemption(
        chosen,
        options.resolved(main).include,
        options.exclude,
        only_at=options.only_at,
        interrupts_max=options.interrupts_max,
    )
