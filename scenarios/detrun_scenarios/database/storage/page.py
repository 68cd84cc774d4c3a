"""`Page`: a slotted page, the unit of storage, of reading and writing, and of recovery.

A header, then the directory of slots, which grows upwards; records grow downwards from the end. A slot holds offset and
length of its record, so that records move when the page is compacted and slots stay: (page, slot) is an address that
lasts. A heap frees a slot and leaves its number; a node of a tree keeps its records in the order of their slots, so
that one is inserted *at* a slot and the others move up.

Every method is a function of the page and its arguments alone: the same changes to the same page give the same bytes,
by which redo repeats history. The checksum covers all but itself and is set when the page leaves memory.

Source: the layout of PostgreSQL's pages (storage/bufpage.h), which follows Gray and Reuter 1993, section 14.3.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

PAGE_BYTES: Final = 4096
PAGE_BYTES_MAX: Final = 1 << 15  # offsets have 16 bits

_HEADER = struct.Struct("<IQBxHHi")  # checksum, lsn, kind, slots, floor, next
_SLOT = struct.Struct("<HH")  # offset, length; offset 0 for a free slot
_CHECKSUM, _LSN, _COUNTS, _NEXT = struct.Struct("<I"), struct.Struct("<Q"), struct.Struct("<HH"), struct.Struct("<i")
_AT_LSN, _AT_KIND, _AT_COUNTS, _AT_NEXT = 4, 12, 14, 18

FREE, HEAP, LEAF, INNER = 0, 1, 2, 3  # kinds
NO_PAGE: Final = -1


class TornPageError(Exception):
    """A page on the disk is not what was written: only a part of it arrived before the power went."""


class Page:
    """One page in memory.

    Attributes:
        data: its bytes.

    Invariant: header, directory, gap, records, in this order; `floor` is where the lowest record begins.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytearray) -> None:
        self.data = data

    @classmethod
    def new(cls, kind: int, page_bytes: int = PAGE_BYTES) -> Page:
        """An empty page."""
        page = cls(bytearray(page_bytes))
        _HEADER.pack_into(page.data, 0, 0, 0, kind, 0, page_bytes, NO_PAGE)
        return page

    @classmethod
    def opened(cls, data: bytes, where: str) -> Page:
        """A page as it comes from the disk.

        Raises:
            TornPageError: its checksum is wrong.
        """
        if len(data) < _HEADER.size or _CHECKSUM.unpack_from(data)[0] != zlib.crc32(memoryview(data)[4:]):
            raise TornPageError(f"{where} has a wrong checksum; recovery restores it from its image in the log")
        return cls(bytearray(data))

    def sealed(self) -> bytes:
        """The page as it goes to the disk."""
        _CHECKSUM.pack_into(self.data, 0, zlib.crc32(memoryview(self.data)[4:]))
        return bytes(self.data)

    # The header.

    @property
    def lsn(self) -> int:
        """Of the last record of the log that changed the page; 0 for none."""
        lsn: int = _LSN.unpack_from(self.data, _AT_LSN)[0]
        return lsn

    @lsn.setter
    def lsn(self, value: int) -> None:
        _LSN.pack_into(self.data, _AT_LSN, value)

    @property
    def kind(self) -> int:
        """What it is a page of."""
        return self.data[_AT_KIND]

    @kind.setter
    def kind(self, value: int) -> None:
        self.data[_AT_KIND] = value

    @property
    def next(self) -> int:
        """The page that follows it in a chain, `NO_PAGE` at the end."""
        following: int = _NEXT.unpack_from(self.data, _AT_NEXT)[0]
        return following

    @next.setter
    def next(self, page_id: int) -> None:
        _NEXT.pack_into(self.data, _AT_NEXT, page_id)

    @property
    def slots(self) -> int:
        """How many slots the directory has, free ones included."""
        slots: int = _COUNTS.unpack_from(self.data, _AT_COUNTS)[0]
        return slots

    # Reading.

    def get(self, slot: int) -> bytes | None:
        """The record of a slot; None if it is free or beyond the directory."""
        if not 0 <= slot < self.slots:
            return None
        offset, length = _SLOT.unpack_from(self.data, _HEADER.size + slot * _SLOT.size)
        return bytes(self.data[offset : offset + length]) if offset else None

    def __getitem__(self, slot: int) -> bytes:
        record = self.get(slot)
        if record is None:
            raise KeyError(f"slot {slot} of {self.slots} is free")
        return record

    def records(self) -> Iterator[tuple[int, bytes]]:
        """All records with their slots, in the order of the slots."""
        for slot in range(self.slots):
            record = self.get(slot)
            if record is not None:
                yield slot, record

    @property
    def free_bytes(self) -> int:
        """What records can still take, gaps between them included."""
        end = _HEADER.size + self.slots * _SLOT.size
        used: int = sum(length for _, length in _SLOT.iter_unpack(memoryview(self.data)[_HEADER.size : end]))
        return len(self.data) - end - used

    def has_room(self, length: int, *, new_slot: bool = True) -> bool:
        """Whether a record of so many bytes fits, with a slot of its own."""
        needed = length + (_SLOT.size if new_slot else 0)
        slots, floor = _COUNTS.unpack_from(self.data, _AT_COUNTS)
        gap: int = floor - _HEADER.size - slots * _SLOT.size
        return gap >= needed or self.free_bytes >= needed

    def free_slot(self) -> int:
        """The slot that a new record of a heap takes: the first free one, or a new one."""
        for slot in range(self.slots):
            if not _SLOT.unpack_from(self.data, _HEADER.size + slot * _SLOT.size)[0]:
                return slot
        return self.slots

    # Changing. Slots stay, as in a heap.

    def put(self, slot: int, record: bytes) -> None:
        """Fill a free slot, which may be the one after the last.

        Raises:
            ValueError: the slot is taken or too far, or there is no room.
        """
        slots = self.slots
        if self.get(slot) is not None or not 0 <= slot <= slots:
            raise ValueError(f"slot {slot} of {slots} cannot be filled")
        self._make_gap(len(record) + (_SLOT.size if slot == slots else 0))
        if slot == slots:
            self._set_slots(slots + 1)
        self._place(slot, record)

    def delete(self, slot: int) -> None:
        """Free a slot.

        Raises:
            KeyError: it is free.
        """
        self[slot]
        _SLOT.pack_into(self.data, _HEADER.size + slot * _SLOT.size, 0, 0)

    def replace(self, slot: int, record: bytes) -> None:
        """Put another record into a slot that is taken.

        Raises:
            KeyError: it is free.
            ValueError: there is no room.
        """
        old = self[slot]
        if len(record) == len(old):
            offset = _SLOT.unpack_from(self.data, _HEADER.size + slot * _SLOT.size)[0]
            self.data[offset : offset + len(record)] = record
            return
        if self.free_bytes + len(old) < len(record):
            raise ValueError(f"a record of {len(record)} bytes has no room in place of one of {len(old)}")
        self.delete(slot)
        self._make_gap(len(record))
        self._place(slot, record)

    # Changing. Slots move, as in a node.

    def insert_at(self, slot: int, record: bytes) -> None:
        """Put a record at a slot; those from there on move up by one.

        Raises:
            ValueError: there is no such place, or no room.
        """
        slots = self.slots
        if not 0 <= slot <= slots:
            raise ValueError(f"there is no place {slot} among {slots} slots")
        self._make_gap(len(record) + _SLOT.size)
        begin, end = _HEADER.size + slot * _SLOT.size, _HEADER.size + slots * _SLOT.size
        self.data[begin + _SLOT.size : end + _SLOT.size] = self.data[begin:end]
        self._set_slots(slots + 1)
        self._place(slot, record)

    def remove_at(self, slot: int) -> None:
        """Take a record and its slot away; those after it move down by one.

        Raises:
            KeyError: there is no such record.
        """
        self[slot]
        slots = self.slots
        begin, end = _HEADER.size + slot * _SLOT.size, _HEADER.size + slots * _SLOT.size
        self.data[begin : end - _SLOT.size] = self.data[begin + _SLOT.size : end]
        self._set_slots(slots - 1)

    # Room.

    def _set_slots(self, slots: int) -> None:
        _COUNTS.pack_into(self.data, _AT_COUNTS, slots, _COUNTS.unpack_from(self.data, _AT_COUNTS)[1])

    def _place(self, slot: int, record: bytes) -> None:
        slots, floor = _COUNTS.unpack_from(self.data, _AT_COUNTS)
        floor -= len(record)
        self.data[floor : floor + len(record)] = record
        _COUNTS.pack_into(self.data, _AT_COUNTS, slots, floor)
        _SLOT.pack_into(self.data, _HEADER.size + slot * _SLOT.size, floor, len(record))

    def _make_gap(self, needed: int) -> None:
        """Have so many bytes between the directory and the records."""
        slots, floor = _COUNTS.unpack_from(self.data, _AT_COUNTS)
        if floor - _HEADER.size - slots * _SLOT.size >= needed:
            return
        if self.free_bytes < needed:
            raise ValueError(f"{needed} bytes are wanted, and {self.free_bytes} are free")
        kept = list(self.records())
        _COUNTS.pack_into(self.data, _AT_COUNTS, slots, len(self.data))
        for slot, record in kept:
            self._place(slot, record)


def record_bytes_max(page_bytes: int) -> int:
    """The longest record that an empty page takes."""
    return page_bytes - _HEADER.size - _SLOT.size


def kind_of(image: bytes) -> int:
    """The kind of a page that is given as its bytes."""
    return image[_AT_KIND]
