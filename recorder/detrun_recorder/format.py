"""The bytes of a recording: preamble, frames, columns, trailer, and every limit a reader enforces.

This module decides how things are laid out and what is refused; `writer` decides what to write, `reader` what to
believe. ``docs/file-format.md`` specifies the same bytes for people who write another reader.

The rule: nothing read from a file is believed before it is bounded and its checksum holds. A frame's head has its own
checksum, because a damaged length that reached past the end of the file would otherwise look like a truncated file,
and a truncated file is accepted. Checksums include the frame's position, so a frame that was moved, dropped or
repeated is noticed too; and since 2.1 frames repeat a digest of the header, so that the frames of two recordings are
told apart. Contents are plain msgpack values, without extension types and pickles, so that opening a file runs nothing.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterable
from hashlib import blake2b
from itertools import chain, repeat
from operator import mul, sub
from typing import Any

import msgpack

from detrun_scheduler.errors import RecordingFormatError

MAJOR, MINOR = 2, 3
MAGIC = b"\x89detrun\n"  # like PNG's: the first byte cannot stand in a text, the last shows a newline translation
TRAILER_MAGIC = b"detrunIX"

PREAMBLE = struct.Struct("<8sHHI")  # magic, major, minor, CRC of the 12 bytes before
HEAD = struct.Struct("<BII")  # kind, payload length, CRC of the payload; a CRC of position and these 9 bytes follows
HEAD_BYTES = HEAD.size + 4
POSITION = struct.Struct("<Q")
CHECKSUM = struct.Struct("<I")
TRAILER = struct.Struct("<8sQI")  # magic, position of the index frame, CRC of the 16 bytes before

HEADER, CHUNK, END, INDEX = 1, 2, 3, 4
SKIPPABLE = 0x80  # a reader that does not know the kind may pass over the frame

# Limits, part of the format: a writer keeps them, a reader refuses what exceeds them.
FRAME_BYTES_MAX = 1 << 28
COLUMN_BYTES_MAX = 1 << 26  # of one column, inflated
PATH_CHARACTERS_MAX = 1 << 26  # of the paths of a chunk's tasks, which stems and leaves say in fewer bytes
CHUNK_STEPS_MAX = 1 << 20
RUNNABLE_STORED_MAX = 1 << 14  # tasks of a runnable set that a chunk may say; readers compute larger ones
HEADER_BYTES_MAX = 1 << 20
END_BYTES_MAX = 1 << 16
DEFINITIONS_BYTES_FREE = 1 << 26  # inflated definitions of a whole file: this much, and 32 bytes per byte of file
DEFINITIONS_RATIO_MAX = 32
NESTING_MAX = 16
HEADER_TIE_BYTES = 8  # since 2.1
TICKS_MAX = 1 << 51  # below it, ticks -> seconds -> ticks is the identity in doubles

COMPRESSED_BYTES_MIN = 32  # not part of the format: what this writer does
SMALL_COLUMN = 2_000  # bytes, in the same way: one block of the small compressor

Column = list[Any]  # [inflated length, bytes]


class DamagedRecordingError(RecordingFormatError):
    """A byte of the recording is not what its writer wrote, or its writer broke the format.

    Attributes:
        source: the path, or ``<bytes>``.
        offset: where the part that failed begins, in bytes from the start of the file.
        reason: what failed.
    """

    def __init__(self, source: str, offset: int, reason: str) -> None:
        super().__init__(
            f"{source} is damaged: at byte {offset}, {reason}. "
            "A recording cannot be repaired; copy it again from its origin or record the program again"
        )
        self.source = source
        self.offset = offset
        self.reason = reason

    def __reduce__(self) -> tuple[type[DamagedRecordingError], tuple[str, int, str]]:
        return type(self), (self.source, self.offset, self.reason)


class Malformed(Exception):
    """A part of a frame breaks the format; the reader adds the file and the position. Never reaches a user."""


def pack_preamble() -> bytes:
    """The first 16 bytes of a recording."""
    unsigned = PREAMBLE.pack(MAGIC, MAJOR, MINOR, 0)[:-4]
    return unsigned + CHECKSUM.pack(zlib.crc32(unsigned))


def pack_frame(position: int, kind: int, payload: bytes) -> bytes:
    """A whole frame that will stand at byte ``position`` of the file."""
    assert len(payload) <= FRAME_BYTES_MAX, "the writer checks sizes before it packs"
    head = HEAD.pack(kind, len(payload), zlib.crc32(payload))
    return head + CHECKSUM.pack(zlib.crc32(POSITION.pack(position) + head)) + payload


def header_tie(payload: bytes) -> bytes:
    """What chunks and the end repeat of the header's ``payload``, so that they are read below their own header only."""
    return blake2b(payload, digest_size=HEADER_TIE_BYTES).digest()


def pack_trailer(index_position: int) -> bytes:
    """The last 20 bytes of a whole recording."""
    unsigned = TRAILER.pack(TRAILER_MAGIC, index_position, 0)[:-4]
    return unsigned + CHECKSUM.pack(zlib.crc32(unsigned))


def pack_map(content: dict[str, Any]) -> bytes:
    """``content`` in msgpack; raises `TypeError`, `ValueError` or `OverflowError` for what msgpack cannot hold."""
    packed = msgpack.packb(content, use_bin_type=True)
    assert isinstance(packed, bytes)
    return packed


def unpack_map(payload: bytes, entries_max: int = 64, array_entries_max: int = 2) -> dict[str, Any]:
    """The map in ``payload``, of plain values only; raises `Malformed`.

    msgpack's decoder makes room for an array when it reads the claimed length, once per level of nesting, so the
    limits bound memory to about ``1024 * 8 * array_entries_max`` bytes beyond the size of the payload.
    """
    try:
        content = msgpack.unpackb(
            payload,
            raw=False,
            strict_map_key=True,
            max_map_len=entries_max,
            max_array_len=array_entries_max,
            max_ext_len=0,
        )
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise Malformed(f"the msgpack map does not decode ({type(error).__name__}: {str(error)[:100]})") from error
    if not isinstance(content, dict):
        raise Malformed(f"there is a {type(content).__name__} where a map is needed")
    check_plain(content, NESTING_MAX)
    return content


_PLAIN = frozenset({type(None), bool, int, float, str, bytes})  # and lists and maps of these


def check_plain(value: object, nesting: int) -> None:
    """Refuse what JSON-like code downstream could not take: extension types, keys that are not text, deep nesting."""
    if nesting == 0:
        raise Malformed(f"values nest deeper than {NESTING_MAX} levels")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Malformed("a map has a key that is not text")
            if type(item) not in _PLAIN or nesting == 1:
                check_plain(item, nesting - 1)
    elif isinstance(value, list):
        for item in value:
            if type(item) not in _PLAIN or nesting == 1:
                check_plain(item, nesting - 1)
    elif type(value) not in _PLAIN:
        raise Malformed(f"a value has the type {type(value).__name__}")


def integer(content: dict[str, Any], key: str, maximum: int) -> int:
    """The whole number ``content[key]``, in ``0..maximum``."""
    value = content.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
        raise Malformed(f"{key!r} is {value!r:.40}, not a whole number in 0..{maximum}")
    return value


# --- columns ---------------------------------------------------------------------------------------------------------


def deflate(parts: Iterable[bytes], strategy: int, size: int) -> bytes:
    """Raw DEFLATE of the concatenated parts, each part with Huffman tables of its own.

    zlib shares one table among up to 16k symbols. The planes of a column of times have unlike distributions: closing
    a block between them takes 5461 exponential delays from 14120 to 12383 bytes, where entropy allows 12323.
    Level 4 takes a quarter of level 6's time on such columns and gives at most 5 % more.

    Args:
        parts: ``size`` bytes together. Few are given a compressor of 50 kB: one of 400 kB comes and goes with pages of
            the system's, which takes 0.2 ms, ten times for a recording of a hundred steps; what they give is the same.
    """
    window, memory = (12, 5) if size <= SMALL_COLUMN else (zlib.MAX_WBITS, 9)
    compressor = zlib.compressobj(4, zlib.DEFLATED, -window, memory, strategy)
    packed = []
    for part in parts:
        packed.append(compressor.compress(part))
        packed.append(compressor.flush(zlib.Z_BLOCK))
    packed.append(compressor.flush())
    return b"".join(packed)


def pack_column(content: bytes, parts: Iterable[bytes] | None = None) -> Column:
    """A column as ``[length, bytes]``; bytes shorter than the length are raw DEFLATE, as long are the content itself.

    Huffman coding without matches is tried too, and the shorter kept: random choices have no repeats, and the
    three-byte matches that DEFLATE finds in them by chance cost 15 % more than they save. Columns of a few bytes stay
    as they are: setting up their compressors takes longer than a small run, of whose file they would save a percent.
    """
    if len(content) < COMPRESSED_BYTES_MIN:
        return [len(content), content]
    pieces = (content,) if parts is None else tuple(parts)
    strategies = zlib.Z_HUFFMAN_ONLY, zlib.Z_DEFAULT_STRATEGY
    packed = min((deflate(pieces, one, len(content)) for one in strategies), key=len)
    return [len(content), packed if len(packed) < len(content) else content]


def column_length(column: object) -> int:
    """The inflated length that a column claims, bounded; raises `Malformed`."""
    if not isinstance(column, list) or len(column) != 2:
        raise Malformed("a column is not a pair of length and bytes")
    length, packed = column
    if not isinstance(length, int) or isinstance(length, bool) or not isinstance(packed, bytes):
        raise Malformed("a column is not a pair of length and bytes")
    if not len(packed) <= length <= COLUMN_BYTES_MAX:
        raise Malformed(f"a column of {len(packed)} bytes claims to inflate to {length}")
    return length


def unpack_column(column: Column) -> bytes:
    """The content of a column; memory is bounded by the claimed length, which is bounded by the format."""
    length = column_length(column)
    packed: bytes = column[1]
    if len(packed) == length:
        return packed
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = inflater.decompress(packed, length)
        ended = inflater.eof or (inflater.decompress(inflater.unconsumed_tail, 1) == b"" and inflater.eof)
    except zlib.error as error:
        raise Malformed(f"a column does not inflate ({error})") from error
    if len(content) != length or not ended or inflater.unused_data:
        raise Malformed(f"a column does not inflate to the {length} bytes that it claims")
    return content


def pack_planes(words: array[int]) -> Column:
    """Unsigned 64-bit ``words`` as byte planes, the most significant first, leading zero planes left out."""
    width = max((max(words).bit_length() + 7) // 8, 1)
    content = little_endian(words).tobytes()
    planes = [content[plane::8] for plane in range(width - 1, -1, -1)]
    return pack_column(b"".join(planes), planes)


def unpack_planes(content: bytes, count: int) -> array[int]:
    """The ``count`` words of `pack_planes`; raises `Malformed`."""
    width, rest = divmod(len(content), count) if count else (0, len(content))
    if rest or width > 8 or (count and not width):
        raise Malformed(f"{len(content)} bytes do not hold {count} times")
    spread = bytearray(8 * count)
    for plane in range(width):
        spread[width - 1 - plane :: 8] = content[plane * count : (plane + 1) * count]
    return little_endian(array("Q", bytes(spread)))


def little_endian(words: array[Any]) -> array[Any]:
    """``words`` with the byte order swapped on a big-endian machine: to and from the file's order."""
    if struct.pack("=H", 1) != struct.pack("<H", 1):
        words = words[:]
        words.byteswap()
    return words


def ticks_of(times: array[float], start: int, ticks_per_second: int) -> array[int] | None:
    """Differences of ``times`` in whole ticks from tick ``start`` on; ``None`` if some time has no exact way back."""
    try:
        ticks = list(map(round, map(mul, times, repeat(ticks_per_second))))
        if ticks and ticks[-1] >= TICKS_MAX:
            return None
        return array("Q", map(sub, ticks, chain((start,), ticks)))
    except (OverflowError, ValueError):  # not finite, or the clock went backwards
        return None


# --- whole numbers and text ------------------------------------------------------------------------------------------


def pack_varints(numbers: Iterable[int]) -> bytes:
    """Unsigned LEB128, one after another."""
    packed = bytearray()
    for number in numbers:
        while number > 0x7F:
            packed.append(number & 0x7F | 0x80)
            number >>= 7
        packed.append(number)
    return bytes(packed)


def unpack_varints(content: bytes) -> list[int]:
    """All numbers of a column of unsigned LEB128, none above 2**63; raises `Malformed`."""
    if content.isascii():  # no continuation bit anywhere: the common case, at the speed of a copy
        return list(content)
    numbers, number, shift = [], 0, 0
    for byte in content:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift > 56:
                raise Malformed("a number has more than 63 bits")
        else:
            numbers.append(number)
            number = shift = 0
    if shift:
        raise Malformed("a column of numbers ends inside a number")
    return numbers


def unpack_varint(content: bytes, position: int) -> tuple[int, int]:
    """The number at ``position`` and the position after it; raises `Malformed`."""
    number = shift = 0
    while position < len(content):
        byte = content[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
        shift += 7
        if shift > 56:
            raise Malformed("a number has more than 63 bits")
    raise Malformed("a column ends inside a number")


def pack_text(text: str) -> bytes:
    """Length in bytes, then UTF-8. Lone surrogates, as in undecodable file names, are written as ``?``."""
    encoded = text.encode("utf-8", "replace")
    return pack_varints((len(encoded),)) + encoded


def unpack_text(content: bytes, position: int) -> tuple[str, int]:
    """The text at ``position`` and the position after it; raises `Malformed`."""
    length, position = unpack_varint(content, position)
    if length > len(content) - position:
        raise Malformed("a text reaches past its column")
    try:
        return content[position : position + length].decode(), position + length
    except UnicodeDecodeError as error:
        raise Malformed("a text is not UTF-8") from error
