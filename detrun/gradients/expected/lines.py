"""The lines of a run: its continuous draws, and the decisions that each of them cuts.

A decision may depend on several draws. A point where it flips counts on the line of the last of them that moves the
margin *at that point*, so each counts once. Mostly that is the last one that moves it where the run is. Where two draws
mix (`mixing`), the margin at the point may stand still along the later one: of ``(x - p) * y > 0`` the last draw is
``y``, and all of the points are at ``x = p``, whatever ``y`` is. Then the line of the earlier draw is looked at, too,
and whether its point counts there is seen from both sides of it (`thresholds`).

What has no density is named: a comparison of a parameter with a number from elsewhere (`random`, numpy, a number taken
out of a `Value`), a rounded parameter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from detrun.ad.forward import tangent_sweep
from detrun.ad.tape import NO_PARENT
from detrun.ad.value import primal_of
from detrun.gradients.expected.decisions import CONTINUOUS, DISCRETE, OF_UNKNOWN_LAW, ROUNDED, Cut, cuts_on
from detrun.gradients.expected.dependence import Along, Dependence, along
from detrun.gradients.expected.mixing import Mixing
from detrun.gradients.expected.noises import Noise, near
from detrun.gradients.expected.taped_run import Pass, TapedRun
from detrun.primitives.draw_log import Draw
from detrun.primitives.laws import Law
from detrun_scheduler.errors import NotDifferentiableError

WORK = 400_000  # entries of a tape that are looked at for the lines of one run, about
STANDS = 1e-5  # relative: a slope that is so near to 0 at a cut, as it is known from elsewhere, may be 0
DIRECTIONS = 8  # in which the speeds of cuts are known


@dataclass(frozen=True, slots=True)
class Unknown:
    """A place where the loss may jump at an unknown rate."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A cut at which the loss may jump, on the line of one draw.

    Attributes:
        worth: by how much, in units of the parameters and of the jump, it is likely to count.
        worths: the same, by parameter.
        share: the probability with which its line was looked at.
        later: draws that move the margin where the run is and come after this one; it counts here where, at the cut,
            none of them does.
    """

    draw: Draw
    cut: Cut
    worth: float
    worths: Mapping[str, float]
    share: float
    later: tuple[Draw, ...] = ()

    @property
    def law(self) -> Law:
        """Of the draw."""
        assert self.draw.law is not None
        return self.draw.law

    @property
    def noise(self) -> Noise:
        """The law of the noise beneath it."""
        assert self.law.noise is not None
        return Noise(self.law.noise)


class Lines:
    """What decides in a run, and how that moves.

    Attributes:
        unknown: sites without a density.
    """

    def __init__(self, run: TapedRun, dependence: Dependence, has_other_numbers: str | None, random: Random) -> None:
        """Args:
        has_other_numbers: in words, numbers that the run took from elsewhere than detrun's draws; None if none.
        random: chooses among the lines, if there are more than can be looked at, and directions of the parameters.
        """
        self.run = run
        self.dependence = dependence
        self.random = random
        self._by_noise = {draw.noise_id: draw for draw in run.draws if draw.noise_id is not None}
        self._known: dict[int, Along | None] = {}
        self._unknown: dict[str, Unknown] = {}
        self._mixing = Mixing(run)
        self._name_passes(has_other_numbers)
        self._speeds: list[Mapping[int, float]] | None = None

    @property
    def unknown(self) -> list[Unknown]:
        """Sites without a density."""
        return list(self._unknown.values())

    def name(self, where: str, why: str) -> None:
        """A site has no density."""
        self._unknown.setdefault(where, Unknown(where, why))

    def _name_passes(self, has_other_numbers: str | None) -> None:
        events = [one for one in self.run.events if isinstance(one, Pass)]
        for one in (*events, *self.run.orders):
            if one.kind in DISCRETE or one.kind in CONTINUOUS:
                continue
            moves, noise = self.dependence.of(list(one.margin.seeds()))
            if not moves:
                continue
            if one.kind.startswith(OF_UNKNOWN_LAW):
                self.name(str(one), "what decides there is no draw of detrun with a known density")
            elif one.kind in ROUNDED:
                if noise != NO_PARENT or one.margin.value == 0.0:
                    why = "a rounded number that moves with a parameter and a draw has a jump at every whole number"
                    self.name(str(one), why)
            elif noise == NO_PARENT and has_other_numbers is not None:
                why = f"a parameter decides without a draw of detrun, and the run has {has_other_numbers}"
                self.name(str(one), why)
            elif one.margin.value == 0.0 and self._sticks(one.margin.seeds()):
                self.name(str(one), "a parameter is exactly where this decides, whatever is drawn")

    def _sticks(self, seeds: Mapping[int, float]) -> bool:
        """Whether a margin of 0 moves with a parameter and with no draw."""
        return self.last_draw(seeds) is None and any(self.run.gradient(seeds).values())

    def thresholds(self) -> list[Threshold]:
        """The cuts at which the loss may jump, in the order of their lines."""
        noises = self._candidates()
        most = max(1, WORK // max(1, len(self.run.tape)))
        share = min(1.0, most / len(noises)) if noises else 1.0
        if len(noises) > most:
            noises = sorted(self.random.sample(noises, most))
        found = []
        for noise in noises:
            moves = self.along(noise)
            if moves is None:
                continue
            draw = self._by_noise[noise]
            for cut in cuts_on(self.run, draw, moves):
                later = self._later(cut, draw, moves)
                if later is not None:
                    rate = self._rate(draw, moves, cut)
                    if rate is not None:
                        seeds = cut.seeds(self.run)
                        speeds = self.moves(seeds)
                        worths = {name: rate * one for name, one in self.by_parameter(speeds).items()}
                        found.append(Threshold(draw, cut, rate * math.hypot(*speeds), worths, share, later))
        return found

    def _candidates(self) -> list[int]:
        """The noises that may be the last of some decision that moves with a parameter.

        Those are not the last noises of what is compared: both sides may have been moved alike by a later one.
        """
        of = self.dependence.of
        seeds = [list(one.margin.seeds()) for one in self.run.events if isinstance(one, Pass)]
        seeds += [[timer.deadline.id] for timer in self.run.timing.timers.values()]
        if not any(of(one)[0] for one in seeds):
            return []
        last = max((of(one)[1] for one in seeds), default=NO_PARENT)
        return sorted(noise for noise in self._by_noise if noise <= last)

    def _later(self, cut: Cut, draw: Draw, moves: Along) -> tuple[Draw, ...] | None:
        """The later draws on which a cut of this one may count instead; None if it cannot count on this one."""
        event = self.run.events[cut.place]
        if isinstance(event, Pass) and (
            event.kind in DISCRETE
            or (event.kind in CONTINUOUS and not cut.at_kink)
            or event.kind in ROUNDED
            or event.kind.startswith(OF_UNKNOWN_LAW)
        ):
            return None
        seeds = cut.seeds(self.run)
        depends, last = self.dependence.of(list(seeds))
        if not depends or not moves.slope(seeds):
            return None
        assert draw.noise_id is not None
        later = []
        for noise in sorted((one for one in self._by_noise if draw.noise_id < one <= last), reverse=True):
            by_noise = self.along(noise)
            if by_noise is not None and by_noise.slope(seeds):
                other = self._by_noise[noise]
                mixed = self._mixing.of(draw, other, seeds)
                if not mixed:
                    return None  # it moves the margin at the cut as it does here
                if not cut.bent and not math.isnan(mixed):
                    here = by_noise.slope(seeds) * by_noise.scale
                    change = mixed / moves.scale * (cut.at - float(primal_of(draw.outcome)))
                    if abs(here + change) > STANDS * (abs(here) + abs(change)):
                        return None
                later.append(other)
        return tuple(later)

    def along(self, noise: int) -> Along | None:
        """How the run moves with a noise."""
        if noise not in self._known:
            self._known[noise] = along(self.run, self._by_noise[noise])
        return self._known[noise]

    def last_draw(self, seeds: Mapping[int, float]) -> int | None:
        """The last noise that moves a margin; what moves both of its sides alike does not."""
        _, last = self.dependence.of(list(seeds))
        for noise in sorted((one for one in self._by_noise if one <= last), reverse=True):
            moves = self.along(noise)
            if moves is not None and moves.slope(seeds):
                return noise
        return None

    def _rate(self, draw: Draw, moves: Along, cut: Cut) -> float | None:
        """At which the draw passes the cut as that moves; None: the cut lies beyond what the draw can be.

        A cut at the very end of its interval does not count: there an earlier decision flips, and its two sides
        are on both sides of this one.
        """
        assert draw.law is not None
        assert draw.law.noise is not None
        law = Noise(draw.law.noise)
        at, low, high = (draw.law.noise_of(one) for one in (cut.at, cut.low, cut.high))
        mass, is_bent = law.between(low, high), cut.bent or cut.bent_interval
        if not (law.is_inside(at) and mass > 0.0):
            return 0.0 if is_bent else None
        density, side = law.density(at), 2 * near(at)
        if not (is_bent or cut.at_kink) and not (density and low + side < at < high - side):
            return None
        return density / mass / abs(moves.slope(cut.seeds(self.run)) * moves.scale)

    def moves(self, seeds: Mapping[int, float]) -> list[float]:
        """How fast a weighted sum of entries moves with the parameters, each in units of itself, in some directions."""
        if self._speeds is None:
            self._speeds = list(self._directions())
        return [sum(speed.get(one, 0.0) * weight for one, weight in seeds.items()) for speed in self._speeds]

    def steepness(self, seeds: Mapping[int, float]) -> float:
        """About how large the derivatives of a weighted sum of entries are at most; infinite where that is unknown."""
        moves = self.moves(seeds)
        return math.hypot(*moves) / min(self._units().values()) if moves else math.inf

    def by_parameter(self, moves: Sequence[float]) -> Mapping[str, float]:
        """Sizes of `moves` by parameter; of all together, where there are more than are followed one by one."""
        names = self.run.values
        if len(moves) == len(names) <= DIRECTIONS:
            return {name: abs(move) for name, move in zip(names, moves, strict=True)}
        return dict.fromkeys(names, math.hypot(*moves))

    def _units(self) -> dict[int, float]:
        return {value.id: abs(value.primal) or 1.0 for value in self.run.values.values()}

    def _directions(self) -> Sequence[Mapping[int, float]]:
        units = self._units()
        if len(units) <= DIRECTIONS:
            ways: list[dict[int, float]] = [{one: unit} for one, unit in units.items()]
        else:
            signs = [{one: self.random.choice((-1.0, 1.0)) for one in units} for _ in range(DIRECTIONS)]
            ways = [{one: sign * units[one] for one, sign in some.items()} for some in signs]
        try:
            return [tangent_sweep(self.run.tape, way) for way in ways]
        except NotDifferentiableError:  # through torch: then all places are taken to be worth the same
            return []


def listed(found: Sequence[Any], most: int) -> str:
    """The first of them, and how many more."""
    more = f"; and {len(found) - most} more" if len(found) > most else ""
    return "; ".join(map(str, found[:most])) + more
