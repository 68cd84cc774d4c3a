"""On what the numbers of a taped run depend, and how they move with one noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detrun.ad.tape import NO_PARENT, WIDE, Tape
from detrun.gradients.expected.taped_run import TapedRun
from detrun.primitives.draw_log import Draw
from detrun_scheduler.errors import NotDifferentiableError


class Dependence:
    """On what each entry of a tape depends: on a parameter or not, and which noise is the last to reach it."""

    def __init__(self, run: TapedRun) -> None:
        tape = run.tape
        first = self.first = tape.first_id
        count = len(tape)
        self.on_parameters = bytearray(count)
        self.last_noise = [NO_PARENT] * count
        for one in (*(value.id for value in run.values.values()), *run.tensor_ids):
            self.on_parameters[one - first] = 1
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


@dataclass(frozen=True, slots=True)
class Along:
    """How the entries of a tape move with one draw.

    Attributes:
        slopes: by entry, the derivative by the outcome of the draw, of those that move at all.
        bent: those of them that do not move in proportion to it.
        scale: the derivative of the outcome by the noise beneath it.
    """

    slopes: Mapping[int, float]
    bent: frozenset[int]
    scale: float

    def slope(self, seeds: Mapping[int, float]) -> float:
        """Of a weighted sum of entries; 0 where what is left is rounding."""
        terms = [self.slopes[one] * weight for one, weight in seeds.items() if one in self.slopes]
        total = sum(terms)
        return total if len(terms) < 2 or abs(total) > 1e-12 * sum(map(abs, terms)) else 0.0

    def bends(self, seeds: Mapping[int, float]) -> bool:
        """Whether such a sum does not move in proportion to the outcome."""
        return any(one in self.bent for one in seeds)


def along(run: TapedRun, draw: Draw) -> Along | None:
    """How the numbers of a run move with the outcome of one of its continuous draws; None if that cannot move.

    Raises:
        NotDifferentiableError: it reaches an operation that has no forward derivative.
    """
    assert draw.noise_id is not None
    assert draw.result_id is not None
    slopes, bent = _swept(run, draw)
    scale = slopes.get(draw.result_id, 0.0)
    if not scale:
        return None
    return Along({one: slope / scale for one, slope in slopes.items()}, frozenset(bent), scale)


def _swept(run: TapedRun, draw: Draw) -> tuple[dict[int, float], set[int]]:
    # A sweep of its own and not `tangent_sweep`, since it also finds what bends, and begins at the noise.
    tape, bends = run.tape, run.bends
    assert draw.noise_id is not None
    assert draw.result_id is not None
    slopes, bent = {draw.noise_id: 1.0}, set[int]()
    get = slopes.get
    cells = iter(tape.entries[4 * (draw.noise_id + 1 - tape.first_id) :])
    for entry, (left, right, left_partial, right_partial) in enumerate(
        zip(cells, cells, cells, cells, strict=True), draw.noise_id + 1
    ):
        if left == WIDE:
            _wide(tape, entry, right, draw, slopes, bent, bends)
            continue
        by_left = get(left, 0.0) * left_partial if left >= 0 else 0.0
        by_right = get(right, 0.0) * right_partial if right >= 0 else 0.0
        if not by_left and not by_right:
            continue
        slopes[entry] = by_left + by_right
        if entry <= draw.result_id:
            continue  # within the law, whose inverse is known
        if left in bent or right in bent:
            bent.add(entry)
        elif entry in bends:
            if by_right or not bends[entry]:
                bent.add(entry)
        elif by_left and by_right and not (abs(left_partial) == abs(right_partial) == 1.0):
            bent.add(entry)  # a product
    return slopes, bent


def _wide(
    tape: Tape, entry: int, place: int, draw: Draw, slopes: dict[int, float], bent: set[int], bends: Mapping[int, bool]
) -> None:
    parents, partials = tape.wide[place]
    moving = [one for one in parents if slopes.get(one)]
    if not moving:
        return
    if callable(partials):
        raise NotDifferentiableError(
            f"the expected gradient follows {draw} to what it decides, and loses it at an operation of torch or a "
            "buffer, which goes backward only. Use kind='finite' here"
        )
    total = sum(slopes.get(one, 0.0) * partial for one, partial in zip(parents, partials, strict=True))
    if total:
        slopes[entry] = total
        if entry in bends or any(one in bent for one in moving):
            bent.add(entry)
