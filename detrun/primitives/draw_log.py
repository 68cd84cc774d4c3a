"""The draw log: what each random draw of a run was, with its parameters, its place and its outcome.

It is kept only for runs that ask for it: ``detrun.record(..., draws=True).draws``. Every draw of detrun is in it, those
of a simulated world too, whether or not a parameter is a `Value`. Bare bits, which a disk takes for instance, have the
kind ``"bits"``. Numbers of Python's `random`, of numpy and of torch's own generators are not draws of detrun and are
not in it.

`WatchedDraws` stands between a run and its draws: it logs them, forces some (`forcing`), collects terms of scores
(`score_terms`), and makes the noise beneath continuous draws a `Value`. Without any of these a draw costs one look at
an attribute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

from detrun.ad.tape import NO_PARENT
from detrun.ad.value import Value
from detrun.primitives.forcing import Address, Forces
from detrun.primitives.laws import Law
from detrun.primitives.score_terms import ScoreTerms
from detrun_scheduler.randomness import to_unit
from detrun_scheduler.run import ActiveRun


@dataclass(frozen=True, slots=True)
class Draw:
    """One draw.

    Attributes:
        kind: the function that drew, ``"bernoulli"`` for `detrun.bernoulli`; ``"bits"`` for bare bits.
        stream: the path of the task that drew, or for a draw with a key ``"key 'name'"``.
        index: how many draws the stream had given before.
        task: the path of the task that drew, also where there is a key.
        step: the step in which it was drawn.
        bits: the 64 bits beneath it.
        unit: those bits as the number in [0, 1) that the distribution was applied to.
        outcome: what came out; of a choice the index of the option.
        derivative: how estimators of expectations are to treat it (see `detrun.primitives.draws`); None if it is
            continuous.
        is_forced: the caller of the run has said how it comes out.
        noise_id, result_id: ids on the tape of the noise and of the outcome, where they are `Value`s; else None.
        law: the distribution with its parameters; None for bare bits.
    """

    kind: str
    stream: str
    index: int
    task: str
    step: int
    bits: int
    unit: float
    outcome: Any
    derivative: str | None = None
    is_forced: bool = False
    noise_id: int | None = None
    result_id: int | None = None
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
    """The draws of a run, in the order in which they were made."""

    __slots__ = ("_by_address", "_draws")

    def __init__(self, draws: Iterable[Draw] = ()) -> None:
        self._draws = list(draws)
        self._by_address = {one.address: one for one in self._draws}

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
        return "\n".join(map(str, self._draws))

    def __repr__(self) -> str:
        return f"<DrawLog of {len(self)} draws>"


class WatchedDraws:
    """Between a run and its draws; a `DrawWatcher`, of one run.

    Args:
        log: whether to keep the draws.
        forces: draws that come out as the caller says.
        terms: collects terms of scores.
        noises: None, or the noise beneath continuous draws is a `Value`, and their outcomes too; those with an address
            in this table have the number that stands there.
    """

    __slots__ = ("_law", "_open", "derivative", "forces", "log", "noises", "terms")

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
        self._open: tuple[Law | None, str | None, ActiveRun, str, int, int] | None = None

    def about_to_draw(self, law: Any, derivative: str | None = None) -> None:
        """See `DrawWatcher`."""
        self._law, self.derivative = law, derivative

    def drawn(self, run: ActiveRun, stream: str, index: int, bits: int) -> int:
        """See `DrawWatcher`."""
        law, derivative = self._law, self.derivative
        self._law = self.derivative = None
        if self.forces is not None:
            bits = self.forces.bits(run, (stream, index), law, bits)
        self._open = law, derivative, run, stream, index, bits
        if law is None:
            self.came_out(bits)
        return bits

    def came_out(self, outcome: Any) -> Any:
        """See `DrawWatcher`."""
        assert self._open is not None
        law, derivative, run, stream, index, bits = self._open
        self._open = None
        unit = to_unit(bits) if law is None else law.unit(bits)
        noise_id = None
        if self.noises is not None and law is not None and law.noise is not None:
            noise = Value(self.noises.get((stream, index), law.noise_at(unit)))
            noise_id, outcome = noise.id, law.from_noise(noise)
        if self.log is not None:
            self.log.add(
                Draw(
                    kind=law.kind if law is not None else "bits",
                    stream=stream,
                    index=index,
                    task=run.paths.get(run.current, ""),
                    step=run.step_index,
                    bits=bits,
                    unit=unit,
                    outcome=outcome,
                    derivative=derivative,
                    is_forced=self.forces is not None and (stream, index) in self.forces.table,
                    noise_id=noise_id,
                    result_id=outcome.id if isinstance(outcome, Value) and outcome.id != NO_PARENT else None,
                    law=law,
                )
            )
        if self.terms is not None and law is not None:
            self.terms.met((stream, index), law, outcome)
        return outcome
