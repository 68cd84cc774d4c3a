"""One taped run for the derivative of an expectation: its draws, and every place where a `Value` decided something.

The noise beneath each continuous draw is a leaf of the tape, so that it is known how a margin moves with it. A local
gradient keeps the closest passes of each site; here every pass is kept, in order with the timers that fired and the
discrete draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import outcome

from detrun.ad import state
from detrun.ad.reverse import backward
from detrun.ad.sites import Margin, Site, Sites
from detrun.ad.source_lines import Place, shown
from detrun.ad.tape import Tape
from detrun.ad.torch_bridge import is_tensor, number_of
from detrun.ad.value import Value
from detrun.effects import stage_calls
from detrun.execution.scope import RunScope
from detrun.gradients.expected.stages import StagesOfRun
from detrun.gradients.expected.timer_log import TIMING, TimerEvent, TimerLog
from detrun.gradients.sampling.program import SampledProgram
from detrun.primitives.draw_log import Draw, DrawLog, WatchedDraws
from detrun_scheduler.run import ActiveRun, RunHooks


@dataclass(frozen=True, slots=True)
class Pass:
    """One comparison that decided something."""

    kind: str
    place: Place | None
    description: str | None
    margin: Margin

    @property
    def site(self) -> tuple[str, Place | None, str | None]:
        """What tells it from passes of other sites."""
        return self.kind, self.place, self.description

    def __str__(self) -> str:
        return f"{self.kind} at {self.description if self.description is not None else shown(self.place)}"


Event = Pass | TimerEvent | Draw


class EveryPass(Sites):
    """Sites that keep every pass, in the order in which they were made.

    Attributes:
        events: the passes, among what else is noted there.
        orders: those of timers, which `TimerLog` notes as events of their own.
    """

    __slots__ = ("events", "orders")
    kept_per_site = None

    def __init__(self, events: list[Event], orders: list[Pass]) -> None:
        super().__init__()
        self.events = events
        self.orders = orders

    def add(
        self,
        kind: str,
        place: Place | None,
        description: str | None,
        margin: float,
        left: Any,
        right: Any,
        right_weight: float,
    ) -> Site:
        """Keep it."""
        found = Pass(kind, place, description, Margin.between(margin, left, right, right_weight))
        (self.orders if kind in TIMING else self.events).append(found)
        return super().add(kind, place, description, margin, left, right, right_weight)


class NotedDraws(DrawLog):
    """Draws of which the discrete ones are noted among the events of a run."""

    __slots__ = ("_events",)

    def __init__(self, events: list[Event]) -> None:
        super().__init__()
        self._events = events

    def add(self, draw: Draw) -> None:
        """The next one."""
        super().add(draw)
        if draw.derivative is not None:
            self._events.append(draw)


class ValuesOnly(RunScope):
    """Runs with `Value`s for parameters and without a tape."""

    def __init__(self, program: SampledProgram) -> None:
        self.numbers = program.numbers
        self.tensors = program.tensors
        self.values: dict[str, Value] = {}
        self.stages = StagesOfRun(takes_slopes=False)

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """The parameters as `Value`s, and as tensors; stages find their rules in force."""
        stage_calls.honoured = self.stages
        self.values = {name: Value(number) for name, number in self.numbers.items()}
        return ({**self.values, **self.tensors.prepare(run.serial)},)

    def close(self) -> None:
        """And no longer."""
        stage_calls.honoured = None


class TapedRun(ValuesOnly):
    """Tapes a run from end to end, and keeps the tape.

    Attributes:
        draws: of the run.
        events: in order, the passes of its sites, the timers that fired or were taken back, and the discrete draws.
        orders: the passes of sites of timing.
        timing: its timers.
        bends: by entry of the tape whose operation is not linear, whether it is linear in the first argument.
        loss_id: of what the program returned, if that is a `Value`.
        has_weights: the program has given tasks weights that are `Value`s (`detrun.set_weight`).
        other_numbers: in words, what it has that may be random and is no draw with a noise.
        stages: what stages of the program have done.
        constants: generators of `random` that it has seeded itself, as the draw log calls them.
    """

    def __init__(self, program: SampledProgram) -> None:
        super().__init__(program)
        self.stages = StagesOfRun(takes_slopes=True)
        self.tape = Tape()
        self.draws = DrawLog()
        self.events: list[Event] = []
        self.orders: list[Pass] = []
        self.timing = TimerLog()
        self.bends: dict[int, bool] = {}
        self.loss_id: int | None = None
        self.other_numbers: list[str] = []
        self.constants: list[str] = []
        self._run: ActiveRun | None = None
        self.has_weights = False
        self.tensor_ids: list[int] = []

    def contribute(self, hooks: RunHooks) -> None:
        """Note where timing decides."""
        hooks.time_observer = self.timing

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Start the tape; the parameters are its first entries."""
        tape = state.start_tape()
        tape.sites = EveryPass(self.events, self.orders)
        state.bends = self.bends.__setitem__
        self.timing.begin(run.timers, self.events)
        assert isinstance(run.draws, WatchedDraws)
        self.draws = run.draws.log = NotedDraws(self.events)
        self._run = run
        return super().begin(run, args)

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """Keep the tape."""
        loss: Any = ended.value if isinstance(ended, outcome.Value) else None
        if is_tensor(loss) and loss.numel() == 1:
            loss = number_of(loss)  # while its entry finds a tape
        self.tape = state.stop_tape()
        self.timing.end()
        assert self._run is not None
        given = self._run.weights
        if given is not None:
            entries = [*given.of_paths.values(), *((since, weight) for since, _, weight in given.of_patterns)]
            self.has_weights = any(isinstance(weight, Value) for _, weight in entries)
        self._run = None
        drawn = [draw.kind for draw in self.draws if draw.law is not None and draw.law.is_fine and not draw.is_constant]
        self.other_numbers = [f"numbers from {name}" for name in dict.fromkeys([*self.draws.others, *drawn])]
        self.constants = list(dict.fromkeys(draw.stream for draw in self.draws if draw.is_constant))
        if any(draw.kind == "sample" for draw in self.draws):
            self.other_numbers.append("draws of detrun.sample")
        self.other_numbers += [f"a number taken out of a Value at {shown(place)}" for place in self.tape.detachments]
        if isinstance(loss, Value):
            self.loss_id = loss.id
        # A module's tensors have the ids of one run at a time.
        self.tensor_ids = list(self.tensors.ids)
        return ended

    def gradient(self, seeds: Mapping[int, float]) -> dict[str, float]:
        """The derivative of a weighted sum of entries by each parameter."""
        ids = {name: value.id for name, value in self.values.items()}
        adjoints = backward(self.tape, seeds, wanted=[*ids.values(), *self.tensor_ids])
        found = {name: float(adjoints[one]) for name, one in ids.items()}
        if self.tensor_ids:
            self.tensors.ids = self.tensor_ids
            found |= self.tensors.flat(self.tensors.gradients(adjoints))
        return found
