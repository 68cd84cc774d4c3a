"""Keys as bytes that compare as the values do, with the address of the row behind them.

An *entry* of a tree is the encoded values of the indexed columns, then page and slot of the row, big-endian. Entries
are compared as bytes alone. Order of values: NULL, numbers by value, texts by code point, as sqlite3 has it.

A number is a float of 64 bits with its sign turned so that bytes are in order; integers beyond 2**53 are refused. A
text ends with two zero bytes, and a zero in it is followed by 255, so that no key is the beginning of another.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

SqlValue: TypeAlias = int | float | str | None

_NULL, _NUMBER, _TEXT = b"\x00", b"\x01", b"\x02"
_FLOAT, _BITS, _ADDRESS = struct.Struct(">d"), struct.Struct(">Q"), struct.Struct(">IH")
_SIGN = 1 << 63
INTEGER_MAX = 1 << 53


class Address(NamedTuple):
    """Where a version of a row lies."""

    page_id: int
    slot: int


def encoded_key(values: Sequence[SqlValue]) -> bytes:
    """Values as bytes in their order.

    Raises:
        ValueError: an integer is too large, or a number is NaN.
    """
    return b"".join(map(_encoded_value, values))


def _encoded_value(value: SqlValue) -> bytes:
    if value is None:
        return _NULL
    if isinstance(value, str):
        return _TEXT + value.encode().replace(b"\x00", b"\x00\xff") + b"\x00\x00"
    if value != value or (isinstance(value, int) and abs(value) > INTEGER_MAX):
        raise ValueError(f"{value!r} cannot be a key: numbers are floats there, of 53 bits")
    (bits,) = _BITS.unpack(_FLOAT.pack(value + 0.0))  # -0.0 becomes 0.0
    return _NUMBER + _BITS.pack(bits ^ (_SIGN if bits < _SIGN else 2 * _SIGN - 1))


def entry_of(key: bytes, address: Address) -> bytes:
    """The entry of a row under a key."""
    return key + _ADDRESS.pack(*address)


def address_in(entry: bytes) -> Address:
    """The row that an entry leads to."""
    return Address(*_ADDRESS.unpack_from(entry, len(entry) - _ADDRESS.size))


def end_of(prefix: bytes) -> bytes:
    """What comes after all entries whose key begins with ``prefix``, and before all that are greater."""
    return prefix + b"\xff"  # no value and no address begins with it
