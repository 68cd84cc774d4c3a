"""Forcing: draws of a run that come out as the caller says, and what became of each.

A draw is addressed by plain data: ``(task path, index)``, as in ``("main/worker[2]", 0)`` for the first draw of that
task; for draws with a key ``("key 'demand'", index)``, the word key and the key as Python writes it; and for numbers of
`random` by their generator, ``("random", index)`` or ``("random.Random[0]", index)``. `Draw.address` has this form.
What is forced is an outcome of the draw's own kind (of a choice, the index of the option), `Unit`, the number in [0, 1)
beneath it, or `Bits`, the 64 bits themselves.

Forcing replaces the bits and nothing else: the draw counts as made, so no other draw changes; the bits count for the
digest; and the header keeps the table, so that a forced recording replays anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

from detrun_scheduler.errors import UsageError
from detrun_scheduler.run import ActiveRun

if TYPE_CHECKING:
    from detrun.primitives.laws import Law

Address: TypeAlias = tuple[str, int]
FORCES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Unit:
    """The number in [0, 1) beneath a draw; kept to 53 bits, of a normal draw to 52."""

    number: float

    def __post_init__(self) -> None:
        number = self.number
        if not isinstance(number, Real) or not 0.0 <= number < 1.0:
            raise UsageError(f"Unit({number!r}): give a number of at least 0 and below 1")


@dataclass(frozen=True, slots=True)
class Bits:
    """The 64 bits beneath a draw."""

    number: int

    def __post_init__(self) -> None:
        number = self.number
        if type(number) is not int or not 0 <= number < 1 << 64:
            raise UsageError(f"Bits({number!r}): give a whole number of at least 0 and below 2**64")


class Forces:
    """The table of one run, and which of its draws have been met.

    Attributes:
        used: addresses of draws that were made, in the order in which they were.
    """

    def __init__(self, table: Mapping[Address, Any]) -> None:
        self.table = table
        self.used: list[Address] = []

    @property
    def unmet(self) -> list[Address]:
        """Addresses of draws that the run has not made, as the table has them."""
        met = set(self.used)
        return [address for address in self.table if address not in met]

    def met(self, run: ActiveRun, address: Address) -> None:
        """A draw is about to be made; for those who change the table while the run goes on."""

    def bits(self, run: ActiveRun, address: Address, law: Law | None, bits: int) -> int:
        """The bits that count for this draw; those of the oracle unless it is forced."""
        self.met(run, address)
        if address not in self.table:
            return bits
        self.used.append(address)
        try:
            return _bits_of(self.table[address], address, law)
        except UsageError as error:
            run.fail(error)  # whatever the program makes of it
            raise


def _bits_of(forced: Any, address: Address, law: Law | None) -> int:
    if isinstance(forced, Bits):
        return forced.number
    if isinstance(forced, Unit):
        return int(forced.number * 2.0**53) << 11 if law is None else law.bits_at(float(forced.number))
    if law is None:
        raise UsageError(f"force: draw {address!r} takes bare bits; force it with detrun.Bits(...), not {forced!r}")
    try:
        return law.bits_for(forced)
    except UsageError as error:
        raise UsageError(f"force: draw {address!r}: {error}") from error


def check_force(force: object) -> dict[Address, Any]:
    """The table, copied.

    Raises:
        UsageError: it is no mapping, or an address or an outcome has not the form that the opening of this module says.
    """
    if not isinstance(force, Mapping):
        raise UsageError(f"force={force!r} must be a dict of (task path, index): outcome")
    if len(force) > FORCES_MAX:
        raise UsageError(f"force: {len(force):,} draws are more than a recording keeps, {FORCES_MAX:,}")
    for address, forced in force.items():
        if not is_address(address):
            raise UsageError(
                f"force: {address!r} is no address of a draw; give (task path, index) such as ('main/worker[2]', 0), "
                "or (\"key 'name'\", 0) for draws with a key: run.draws of a run recorded with draws=True has them"
            )
        if type(forced) not in (bool, int, float, Unit, Bits):
            raise UsageError(
                f"force: {address!r}: {forced!r} is no outcome; give a plain number, the index of a choice's option, "
                "detrun.Unit(u) or detrun.Bits(b)"
            )
        if (type(forced) is float and forced - forced != 0.0) or (type(forced) is int and abs(forced) >= 1 << 63):
            raise UsageError(f"force: {address!r}: {forced!r} is no outcome of any draw")
    return dict(force)


def is_address(one: object) -> bool:
    """Whether this is the address of a draw, made or not."""
    if type(one) is not tuple or len(one) != 2:
        return False
    stream, index = one
    if type(stream) is not str or type(index) is not int or index < 0:
        return False
    return stream.startswith(("key ", "main/", "main[", "<system>/", "<init>", "random.Random[")) or stream in (
        "main",
        "random",
    )


def to_header(force: Mapping[Address, Any]) -> list[list[Any]]:
    """The table as plain data."""
    return [[*address, *_tagged(forced)] for address, forced in force.items()]


def _tagged(forced: Any) -> tuple[str, Any]:
    if isinstance(forced, Unit):
        return "unit", float(forced.number)
    return ("bits", forced.number) if isinstance(forced, Bits) else ("outcome", forced)


def from_header(entries: object) -> dict[Address, Any] | None:
    """The table again; None where the header holds none, or one that makes no sense."""
    if not isinstance(entries, Sequence) or isinstance(entries, str | bytes):
        return None
    found: dict[Address, Any] = {}
    makers: dict[str, Callable[[Any], Any]] = {"unit": Unit, "bits": Bits, "outcome": lambda one: one}
    try:
        for stream, index, tag, forced in entries:
            found[stream, index] = makers[tag](forced)
        return check_force(found) or None
    except (UsageError, TypeError, ValueError, KeyError):
        return None
