"""`inject`: carries out a fault plan in a world.

``async with inject(plan, world) as injection:`` begins the plan: its times count from there. One task, in the node of
the caller, sleeps from one event to the next; at the end of the block what is still active ends, except that nodes
that are down stay down (`liveness` starts them).

A planned fault has *taken effect* if the count of what it does rose while it was active, or, for what happens at once,
when it happened. A partition that no message met, a crash of a node that was down, a loss rate on a silent link have
not. Links and disks count for themselves; two faults of one kind on one of them share what is counted.

A block that ends without an error although a fault took no effect raises `FaultWithoutEffectError`, unless the fault,
or the call, allows that: a fault that does nothing tests nothing, and a test that passes because of it is worth
nothing. A fault that was drawn not to happen is fine; one that did not come to its time fails the block, too.

A fault on a role (``"@leader"``) begins when its time has come and some node has the role. While none has, the plan
looks again every `LOOK_SECONDS`, which takes a step each time.

A run may be told to leave faults out or to shorten them, by name (``fault_lengths`` of its options): that is how a
failure that `detrun.explore` found is shrunk. What others draw does not change by it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import chain
from typing import TYPE_CHECKING, Any

import trio

from detrun.primitives import draws
from detrun.world.faults.actions import FaultActions
from detrun.world.faults.active_fault import ActiveFault
from detrun.world.faults.kinds import LENGTHS, PlannedFault
from detrun.world.faults.plan import FaultPlan
from detrun.world.faults.swarm import Swarm
from detrun.world.faults.targets import Targets
from detrun.world.nodes.roles import MARK
from detrun_scheduler import current
from detrun_scheduler.asyncio_host.either import open_nursery
from detrun_scheduler.errors import DetrunError
from detrun_scheduler.run import ActiveRun, BegunFault

if TYPE_CHECKING:
    from detrun.world.nodes.node import Node
    from detrun.world.world import World


_TOLD_OTHERWISE = ("kind", "name", "node", "at", "between", "probability", "allow_no_effect")
NOTE = "faults until then: "
LOOK_SECONDS = 0.005  # between two looks for a node that has a role


class FaultWithoutEffectError(DetrunError):
    """Planned faults changed nothing in a run that otherwise succeeded; ``names`` has them."""

    def __init__(self, message: str, names: tuple[str, ...]) -> None:
        super().__init__(message)
        self.names = names


@dataclass(slots=True)
class FaultOutcome:
    """The outcome of one planned fault.

    Attributes:
        fault: the fault.
        drawn: whether it was drawn to happen.
        when: seconds after the plan began; drawn, if it is to happen between two times.
        begun: when it began, None if it has not.
        changes: how often it changed something.
        victim: the node that it struck, or those of a role; an empty string for a fault of links and groups by name.
    """

    fault: PlannedFault
    drawn: bool
    when: float
    begun: float | None = None
    changes: int = 0
    victim: str = ""

    def __str__(self) -> str:
        name = self.fault.name
        if self.begun is None and self.fault.roles:
            role = self.fault.roles[0]
            return f"{name}, which from {self.when:g} s on found no node with the role {MARK}{role}"
        if self.begun is None:
            return f"{name}, which was to happen at {self.when:g} s, when the plan had ended"
        details = self.details()
        more = f" ({details})" if details else ""
        on = f" on {self.victim}" if self.victim else ""
        return f"{name}{more}{on}, from {self.begun:g} s on"

    def details(self) -> str:
        """What the plan says of it besides what, when and to whom."""
        return ", ".join(
            f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"
            for key, value in self.fault.document().items()
            if key not in _TOLD_OTHERWISE
        )


class Injection:
    """A plan that is being carried out.

    Attributes:
        outcomes: one for each fault of the plan, in its order.

    Invariant: ``_active`` has exactly the faults that have begun and not ended, in the order in which they began.
    """

    def __init__(self, plan: FaultPlan, world: World) -> None:
        self.plan = plan
        self.world = world
        self.outcomes = tuple(_outcome(fault, world.run) for fault in plan)
        self._targets = Targets(world)
        self._actions = FaultActions(world, self._targets)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._events = 0
        self._active: dict[str, tuple[FaultOutcome, ActiveFault]] = {}
        for outcome in self.outcomes:
            if outcome.drawn:
                self._begin_at(outcome.when, outcome)

    def _at(self, when: float, event: Callable[[], None]) -> None:
        # Events at the same time happen in the order in which they were put on the agenda.
        self._events += 1
        heappush(self._agenda, (when, self._events, event))

    def _begin_at(self, when: float, outcome: FaultOutcome) -> None:
        self._at(when, lambda: self._begin(when, outcome))

    async def carry_out(self) -> None:
        """Let everything happen at its time; returns when nothing is left to happen."""
        start = trio.current_time()
        while self._agenda:
            when = self._agenda[0][0]
            await trio.sleep_until(start + when)
            # The plan may have been stopped meanwhile, by `heal_everything`.
            while self._agenda and self._agenda[0][0] <= when:
                _, _, event = heappop(self._agenda)
                event()

    def _begin(self, when: float, outcome: FaultOutcome) -> None:
        held = {role: self._targets.holders(outcome.fault, role) for role in outcome.fault.roles}
        if not all(held.values()):
            self._begin_at(when + LOOK_SECONDS, outcome)
            return
        active = self._actions.begin(outcome.fault)
        struck = {role: (active.victim,) if active.victim else _names(nodes) for role, nodes in held.items()}
        outcome.begun = float(self.world.run.time)
        outcome.victim = active.victim or " and ".join(dict.fromkeys(chain(*struck.values())))
        self._active[outcome.fault.name] = outcome, active
        if self.world.run.fault_began is not None:
            fault = outcome.fault
            holders = tuple(struck.items())
            told = BegunFault(fault.name, fault.kind, active.lasts, outcome.victim, outcome.details(), holders)
            self.world.run.fault_began(told)
        if active.lasts is not None:
            self._at(when + active.lasts, lambda: self._end(outcome))
        elif active.is_over:
            self._end(outcome)

    def _end(self, outcome: FaultOutcome) -> None:
        found = self._active.pop(outcome.fault.name, None)
        if found is not None:
            _, active = found
            active.end()
            outcome.changes = active.changes()

    def stop(self) -> None:
        """End everything that is active; nothing more of the plan happens."""
        self._agenda.clear()
        for outcome, active in reversed(list(self._active.values())):
            active.end(starting_nodes=False)
            outcome.changes = active.changes()
        self._active.clear()

    def tell(self, error: BaseException) -> None:
        """Add a note to ``error`` that says which faults had begun, unless it has one."""
        begun = [outcome for outcome in self.outcomes if outcome.begun is not None]
        if begun and not any(note.startswith(NOTE) for note in getattr(error, "__notes__", ())):
            error.add_note(NOTE + "; ".join(map(str, begun)))

    def without_effect(self) -> tuple[FaultOutcome, ...]:
        """The faults that were drawn to happen, and that changed nothing or never began."""
        return tuple(outcome for outcome in self.outcomes if outcome.drawn and not self._changes_of(outcome))

    def _changes_of(self, outcome: FaultOutcome) -> int:
        found = self._active.get(outcome.fault.name)
        return outcome.changes if found is None else found[1].changes()

    def check(self) -> None:
        """Raise `FaultWithoutEffectError` if a fault took no effect that has to."""
        idle = [outcome for outcome in self.without_effect() if not outcome.fault.allow_no_effect]
        if idle:
            lines = "".join(f"\n  {outcome}" for outcome in idle)
            raise FaultWithoutEffectError(
                f"{len(idle)} of {len(self.outcomes)} planned faults took no effect:{lines}\nA fault that changes "
                "nothing tests nothing: let it happen where there is something to disturb, or allow it, with "
                "allow_no_effect=true in the plan or inject(…, allow_no_effect=True)",
                tuple(outcome.fault.name for outcome in idle),
            )


def _names(nodes: Iterable[Node]) -> tuple[str, ...]:
    return tuple(node.name for node in nodes)


def _outcome(fault: PlannedFault, run: ActiveRun) -> FaultOutcome:
    """What is drawn for a fault, unless the run says when it happens, if at all, and how much of it."""
    share, span = run.fault_shares.get(fault.name, 1.0), run.fault_spans.get(fault.name)
    if not share or (span is not None and span.begin == math.inf):
        return FaultOutcome(fault, False, fault.earliest)
    lengths: dict[str, Any] = {name: length for name in LENGTHS if (length := getattr(fault, name, None))}
    if share != 1.0:
        fault = replace(fault, **{name: share * length for name, length in lengths.items()})
    if span is not None:
        if span.end is not None:
            lengths = dict.fromkeys(lengths, span.end - span.begin)
            fault = replace(fault, **lengths)
        # Where it comes at another time it need not have an effect.
        return FaultOutcome(replace(fault, allow_no_effect=True), True, span.begin - float(run.time))
    drawn = fault.probability == 1.0 or draws.bernoulli(fault.probability, key=("fault", fault.name, "happens"))
    if fault.at is not None:
        return FaultOutcome(fault, drawn, fault.at)
    return FaultOutcome(fault, drawn, draws.uniform(fault.earliest, fault.latest, key=("fault", fault.name, "when")))


_running: dict[int, list[Injection]] = {}  # serial of the run -> the injections whose blocks are open, outermost first


def running_injections() -> list[Injection]:
    """Those of the active run."""
    run = current.run
    return list(_running.get(run.serial, ())) if run is not None else []


@asynccontextmanager
async def inject(plan: FaultPlan | Swarm, world: World, *, allow_no_effect: bool = False) -> AsyncIterator[Injection]:
    """Carry out ``plan`` in ``world`` while the block runs. An error that ends it carries a note of what was done.

    Args:
        plan: the faults; times count from here. A `Swarm` gives its plan for the seed of the run.
        allow_no_effect: of every fault; by default each says for itself.

    Raises:
        FaultWithoutEffectError: the block ended without an error, and a fault has changed nothing.
        FaultPlanError: a fault names a node that the world does not have when its time has come.
    """
    injection = Injection(plan.plan(world.run.seed) if isinstance(plan, Swarm) else plan, world)
    serial = world.run.serial
    _running.setdefault(serial, []).append(injection)
    world.on_failure = injection.tell  # an error of a node comes out of the world, and cancels this block
    try:
        async with open_nursery() as nursery:
            nursery.start_soon(injection.carry_out, name="faults")
            try:
                yield injection
            finally:
                nursery.cancel_scope.cancel()
                injection.stop()
    except Exception as error:
        alone = _alone(error)
        injection.tell(alone)
        if alone is error:
            raise
        raise alone from None
    finally:
        _running[serial].remove(injection)
        if not _running[serial]:
            del _running[serial]
    if not allow_no_effect:
        injection.check()


def _alone(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def describe_outcomes(injection: Injection) -> list[dict[str, Any]]:
    """The outcome of each fault, as plain data."""
    return [
        {
            "name": outcome.fault.name,
            "kind": outcome.fault.kind,
            "drawn": outcome.drawn,
            "begun": outcome.begun,
            "victim": outcome.victim,
            "changes": injection._changes_of(outcome),
        }
        for outcome in injection.outcomes
    ]
