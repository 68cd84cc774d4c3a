"""One taped run for the derivative of an expectation: its draws, and every place where a `Value` decided something.

The noise beneath each continuous draw is a leaf of the tape, so that it is known how a margin moves with it. A local
gradient keeps the closest passes of each site; here every pass is kept.
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
from detrun.ad.tape import NO_PARENT, WIDE, Tape
from detrun.ad.value import Value
from detrun.execution.scope import RunScope
from detrun.gradients.timing import TimingSites
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


class EveryPass(Sites):
    """Sites that keep every pass, in the order in which they were made."""

    __slots__ = ("passes",)

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[Pass] = []

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
        self.passes.append(Pass(kind, place, description, Margin.between(margin, left, right, right_weight)))
        return super().add(kind, place, description, margin, left, right, right_weight)


class ValuesOnly(RunScope):
    """Runs with `Value`s for parameters and without a tape."""

    def __init__(self, numbers: Mapping[str, float]) -> None:
        self.numbers = numbers
        self.values: dict[str, Value] = {}

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """The parameters as `Value`s."""
        self.values = {name: Value(number) for name, number in self.numbers.items()}
        return (dict(self.values),)


class TapedRun(ValuesOnly):
    """Tapes a run from end to end, and keeps the tape.

    Attributes:
        draws: of the run.
        passes: of its sites, in order.
        loss_id: of what the program returned, if that is a `Value`.
        has_weights: the program has given tasks weights that are `Value`s (`detrun.set_weight`).
        other_numbers: in words, what it has that may be random and is no draw with a noise.
        constants: generators of `random` that it has seeded itself, as the draw log calls them.
    """

    def __init__(self, numbers: Mapping[str, float]) -> None:
        super().__init__(numbers)
        self.tape = Tape()
        self.draws = DrawLog()
        self.passes: list[Pass] = []
        self.loss_id: int | None = None
        self.other_numbers: list[str] = []
        self.constants: list[str] = []
        self._run: ActiveRun | None = None
        self.has_weights = False

    def contribute(self, hooks: RunHooks) -> None:
        """Note where timing decides."""
        hooks.time_observer = TimingSites()

    def begin(self, run: ActiveRun, args: Sequence[object]) -> Sequence[object]:
        """Start the tape; the parameters are its first entries."""
        tape = state.start_tape()
        sites = EveryPass()
        tape.sites, self.passes = sites, sites.passes
        assert isinstance(run.draws, WatchedDraws)
        assert run.draws.log is not None
        self.draws = run.draws.log
        self._run = run
        return super().begin(run, args)

    def end(self, ended: outcome.Outcome[Any]) -> outcome.Outcome[Any]:
        """Keep the tape."""
        self.tape = state.stop_tape()
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
        if isinstance(ended, outcome.Value) and isinstance(ended.value, Value):
            self.loss_id = ended.value.id
        return ended

    @property
    def way(self) -> tuple[Any, ...]:
        """Equal for runs that went the same way: the sites they passed, and how their discrete draws came out."""
        outcomes = [draw.outcome for draw in self.draws if draw.derivative is not None]
        return [one.site for one in self.passes], outcomes

    def gradient(self, seeds: Mapping[int, float]) -> dict[str, float]:
        """The derivative of a weighted sum of entries by each parameter."""
        ids = {name: value.id for name, value in self.values.items()}
        adjoints = backward(self.tape, seeds, wanted=ids.values())
        return {name: float(adjoints[one]) for name, one in ids.items()}


class Dependence:
    """On what each entry of a tape depends: on a parameter or not, and which noise is the last to reach it."""

    def __init__(self, run: TapedRun) -> None:
        tape = run.tape
        first = self.first = tape.first_id
        count = len(tape)
        self.on_parameters = bytearray(count)
        self.last_noise = [NO_PARENT] * count
        for value in run.values.values():
            self.on_parameters[value.id - first] = 1
        for draw in run.draws:
            if draw.noise_id is not None:
                self.last_noise[draw.noise_id - first] = draw.noise_id
        on_parameters, last_noise = self.on_parameters, self.last_noise
        cells = iter(tape.entries)
        for entry, (left, right, _, _) in enumerate(zip(cells, cells, cells, cells, strict=True)):
            if left == WIDE:
                for parent in tape.wide[right][0]:
                    if parent >= first:
                        on_parameters[entry] |= on_parameters[parent - first]
                        last_noise[entry] = max(last_noise[entry], last_noise[parent - first])
                continue
            if left >= first:
                on_parameters[entry] |= on_parameters[left - first]
                if last_noise[left - first] > last_noise[entry]:
                    last_noise[entry] = last_noise[left - first]
            if right >= first:
                on_parameters[entry] |= on_parameters[right - first]
                if last_noise[right - first] > last_noise[entry]:
                    last_noise[entry] = last_noise[right - first]

    def of(self, ids: Sequence[int]) -> tuple[bool, int]:
        """Whether any of these entries depends on a parameter, and the last noise that reaches one; -1 for none."""
        places = [one - self.first for one in ids if one >= self.first]
        return any(self.on_parameters[one] for one in places), max(
            (self.last_noise[one] for one in places), default=NO_PARENT
        )


def parameter_draws(run: TapedRun, dependence: Dependence) -> list[Draw]:
    """The discrete draws of which a parameter moves with a parameter of the program."""
    return [
        draw
        for draw in run.draws
        if draw.derivative is not None and not draw.is_constant and dependence.of(list(draw.parameter_ids.values()))[0]
    ]
