"""The draw log: what each random draw of a run was, with its parameters, its place and its outcome.

It is kept only for runs that ask for it: ``detrun.record(..., draws=True).draws``. Every draw of detrun is in it, those
of a simulated world too, whether or not a parameter is a `Value`. Bare bits, which a disk takes for instance, have the
kind ``"bits"``. Numbers of Python's `random` are in it, too (`random_draws`). Those of numpy, of torch's own generators
and of `os.urandom` are not: `DrawLog.others` names the generators that the run took such numbers from.

`WatchedDraws` stands between a run and its draws: it logs them, forces some (`forcing`), collects terms of scores
(`score_terms`), and makes the noise beneath continuous draws a `Value`. Without any of these a draw costs one look at
an attribute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, overload

from detrun.ad.tape import NO_PARENT
from detrun.ad.value import Value
from detrun.primitives.forcing import Address, Forces
from detrun.primitives.laws import Law
from detrun.primitives.score_terms import ScoreTerms
from detrun_scheduler.errors import UsageError
from detrun_scheduler.randomness import to_unit
from detrun_scheduler.run import ActiveRun

WAY_OUT = "draw them with detrun (detrun.normal(...), detrun.choice(...)) or random"


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw.

    Attributes:
        kind: the function that drew, ``"bernoulli"`` for `detrun.bernoulli`, ``"random.gauss"`` for `random.gauss`;
            ``"bits"`` for bare bits.
        stream: the path of the task that drew; for a draw with a key ``"key 'name'"``; for one of `random` its
            generator, ``"random"`` or ``"random.Random[0]"``, the first that the run has made.
        index: how many draws the stream had given before.
        task: the path of the task that drew, also where there is a key.
        step: the step in which it was drawn.
        bits: the 64 bits beneath it. Of numbers of `random`, which have other ones, bits that give the same outcome, if
            there are any; else None.
        unit: those bits as the number in [0, 1) that the distribution was applied to.
        outcome: what came out; of a choice the index of the option.
        derivative: how estimators of expectations are to treat it (see `detrun.primitives.draws`); None if it is
            continuous.
        is_forced: the caller of the run has said how it comes out.
        noise_id, result_id: ids on the tape of the noise and of the outcome, where they are `Value`s; else None.
        noise: its number, if it was made a `Value`.
        is_constant: it is from a generator of `random` that the program has seeded itself, so that it comes out in the
            same way under every seed of the run.
        law: the distribution with its parameters; None for bare bits.
    """

    kind: str
    stream: str
    index: int
    task: str
    step: int
    bits: int | None
    unit: float | None
    outcome: Any
    derivative: str | None = None
    is_forced: bool = False
    noise_id: int | None = None
    result_id: int | None = None
    noise: float | None = None
    is_constant: bool = False
    law: Law | None = field(default=None, repr=False)

    @property
    def address(self) -> Address:
        """What ``force=`` calls it."""
        return self.stream, self.index

    @property
    def parameters(self) -> dict[str, Any]:
        """Of the distribution by name, `Value`s where they are."""
        return self.law.parameters if self.law is not None else {}

    @property
    def parameter_ids(self) -> dict[str, int]:
        """The ids of those parameters that are `Value`s; of a list of weights under ``weights[i]``."""
        found = {}
        for name, one in self.parameters.items():
            listed = enumerate(one) if isinstance(one, list | tuple) else ()
            named = {name: one, **{f"{name}[{place}]": part for place, part in listed}}
            found.update({called: part.id for called, part in named.items() if isinstance(part, Value)})
        return found

    def __str__(self) -> str:
        given = ", ".join(f"{name}={one}" for name, one in self.parameters.items())
        by = "" if self.stream == self.task else f" by {self.task}"
        forced = ", forced" if self.is_forced else ""
        return f"{self.stream} [{self.index}]{by}, step {self.step}: {self.kind}({given}) = {self.outcome}{forced}"


class DrawLog(Sequence[Draw]):
    """The draws of a run, in the order in which they were made.

    Attributes:
        others: generators from which the run took numbers that are no draws here, by name; known when it has ended.
    """

    __slots__ = ("_by_address", "_draws", "others")

    def __init__(self, draws: Iterable[Draw] = ()) -> None:
        self._draws = list(draws)
        self._by_address = {one.address: one for one in self._draws}
        self.others: tuple[str, ...] = ()

    def add(self, draw: Draw) -> None:
        """The next one."""
        self._draws.append(draw)
        self._by_address[draw.address] = draw

    @overload
    def __getitem__(self, index: int) -> Draw: ...
    @overload
    def __getitem__(self, index: slice) -> list[Draw]: ...
    def __getitem__(self, index: int | slice) -> Draw | list[Draw]:
        return self._draws[index]

    def __len__(self) -> int:
        return len(self._draws)

    def at(self, address: Address) -> Draw | None:
        """The draw with this address, None if the run did not make it."""
        return self._by_address.get(address)

    def __str__(self) -> str:
        lines = list(map(str, self._draws))
        if self.others:
            lines.append(f"not in this log: numbers from {', '.join(self.others)}; {WAY_OUT}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<DrawLog of {len(self)} draws>"


class Open(NamedTuple):
    """A draw that is being made.

    Attributes:
        place: its index in the stream.
        bits: beneath it; None if they are not known.
        called: what the log calls it, if not by its law.
        noise: beneath it, where there are no bits.
        is_constant: see `Draw`.
    """

    law: Law | None
    derivative: str | None
    run: ActiveRun
    stream: str
    place: int
    bits: int | None
    called: str | None = None
    noise: float | None = None
    is_constant: bool = False


class WatchedDraws:
    """Between a run and its draws; a `DrawWatcher`, of one run.

    Args:
        log: whether to keep the draws.
        forces: draws that come out as the caller says.
        terms: collects terms of scores.
        noises: None, or the noise beneath continuous draws is a `Value`, and their outcomes too; those with an address
            in this table have the number that stands there.
    """

    __slots__ = ("_law", "_open", "derivative", "forces", "log", "noises", "others", "terms")

    def __init__(
        self,
        *,
        log: bool = False,
        forces: Forces | None = None,
        terms: ScoreTerms | None = None,
        noises: Mapping[Address, float] | None = None,
    ) -> None:
        self.log = DrawLog() if log else None
        self.forces = forces
        self.terms = terms
        self.noises = noises
        self._law: Law | None = None
        self.derivative: str | None = None
        self._open: Open | None = None
        self.others: tuple[str, ...] = ()  # see `DrawLog.others`

    def about_to_draw(self, law: Any, derivative: str | None = None) -> None:
        """See `DrawWatcher`."""
        self._law, self.derivative = law, derivative

    def drawn(self, run: ActiveRun, stream: str, index: int, bits: int) -> int:
        """See `DrawWatcher`."""
        law, derivative = self._law, self.derivative
        self._law = self.derivative = None
        if self.forces is not None:
            bits = self.forces.bits(run, (stream, index), law, bits)
        self._open = Open(law, derivative, run, stream, index, bits)
        if law is None:
            self.came_out(bits)
        return bits

    def forced_bits(self, run: ActiveRun, address: Address, law: Law) -> int | None:
        """The bits of a draw that has none of its own, if it is forced."""
        bits = -1 if self.forces is None else self.forces.bits(run, address, law, -1)
        return None if bits < 0 else bits

    def came_out_of(self, source: Open, outcome: Any) -> Any:
        """As `came_out`, of a draw that `drawn` was not told of."""
        self._open = source
        return self.came_out(outcome)

    def came_out(self, outcome: Any) -> Any:
        """See `DrawWatcher`."""
        one = self._open
        assert one is not None
        self._open = None
        law, run, stream, index = one.law, one.run, one.stream, one.place
        bits, unit, noise_id, number = one.bits, None, None, None
        if bits is not None:
            unit = to_unit(bits) if law is None else law.unit(bits)
        if self.noises is not None and law is not None and law.noise is not None and not one.is_constant:
            number = self.noises.get((stream, index))
            if number is None:
                number = law.noise_at(unit) if one.noise is None else one.noise  # type: ignore[arg-type]
            noise = Value(number)
            noise_id, outcome = noise.id, law.from_noise(noise)
        if self.log is not None:
            if bits is None:
                bits, unit = _equivalent(law, outcome)
            self.log.add(
                Draw(
                    kind=one.called or (law.kind if law is not None else "bits"),
                    stream=stream,
                    index=index,
                    task=run.paths.get(run.current, ""),
                    step=run.step_index,
                    bits=bits,
                    unit=unit,
                    outcome=outcome,
                    derivative=one.derivative,
                    is_forced=self.forces is not None and (stream, index) in self.forces.table,
                    noise_id=noise_id,
                    result_id=outcome.id if isinstance(outcome, Value) and outcome.id != NO_PARENT else None,
                    noise=number,
                    is_constant=one.is_constant,
                    law=law,
                )
            )
        if self.terms is not None and law is not None:
            self.terms.met((stream, index), law, outcome)
        return outcome


def _equivalent(law: Law | None, outcome: Any) -> tuple[int | None, float | None]:
    """Bits that give an outcome, and the number that they stand for."""
    if law is None or not law.has_bits:
        return None, None
    try:
        bits = law.bits_for(outcome.primal if isinstance(outcome, Value) else outcome)
    except (UsageError, ArithmeticError, ValueError, TypeError):
        return None, None
    return bits, law.unit(bits)
