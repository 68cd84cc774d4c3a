"""``--force TASK:INDEX=OUTCOME``: draws that come out as the command line says, and what became of each.

The last ``=`` and the last ``:`` before it divide the text, since keys may hold either. An outcome is ``true`` or
``false``, a number (of a choice, the index of the option), ``unit:U`` for the number in [0, 1) beneath the draw, or
``bits:B`` for its 64 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from detrun_scheduler.errors import UsageError

if TYPE_CHECKING:
    from detrun.primitives.forcing import Address

EXAMPLE = "write for example --force main/customer:0=false"


def parse_forces(texts: Iterable[str]) -> dict[Address, Any]:
    """The table for ``force=`` of `detrun.record`.

    Raises:
        UsageError: a text is not of that form, or addresses no draw.
    """
    from detrun.primitives.forcing import check_force

    table: dict[Address, Any] = {}
    for text in texts:
        place, equals, outcome = text.rpartition("=")
        # The colon of unit:U and bits:B stands behind the last equals sign.
        stream, colon, index = place.rpartition(":")
        if not equals or not colon or not index.isdecimal():
            raise UsageError(f"--force {text!r} is not TASK:INDEX=OUTCOME; {EXAMPLE}")
        if (stream, int(index)) in table:
            raise UsageError(f"--force {place} is given twice; give it once")
        table[stream, int(index)] = _outcome(text, outcome)
    return check_force(table)


def _outcome(text: str, outcome: str) -> Any:
    from detrun.primitives.forcing import Bits, Unit

    if outcome in ("true", "false"):
        return outcome == "true"
    kind, colon, number = outcome.rpartition(":")
    try:
        if kind == "unit" and colon:
            return Unit(float(number))
        if kind == "bits" and colon:
            return Bits(int(number, 0))
        return int(outcome) if outcome.removeprefix("-").isdecimal() else float(outcome)
    except UsageError as error:
        raise UsageError(f"--force {text!r}: {error}") from None
    except ValueError:
        raise UsageError(
            f"--force {text!r}: {outcome!r} is no outcome; give true, false, a number, unit:U or bits:B"
        ) from None


def shown_addresses(addresses: Sequence[Address]) -> list[str]:
    """Addresses as ``--force`` takes them."""
    return [f"{stream}:{index}" for stream, index in addresses]
