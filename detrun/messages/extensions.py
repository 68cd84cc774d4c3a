"""The numbers of every msgpack extension type that detrun writes, with what each holds.

There are two kinds of bytes, and a reader of one kind never meets the other: messages of `detrun.pack`, and trees of
numbers (states and events of machines, event logs, arguments for a fresh process). Each kind has its own numbers 1 to
5, because both were written to disk before they were listed here, and bytes on disk stay readable. An extension that is
added gets a number from `NEXT` on, which then means the same in both kinds. Recordings hold no extension types.
"""

from __future__ import annotations

# In messages.
MESSAGE = 1  # the message: token, number, checksum, body; everything below stands in a body
MESSAGE_TUPLE = 2  # empty; the first item of a list that was a tuple
MESSAGE_RECORD = 3  # the first key of a map that was a dataclass: its qualified name in UTF-8
MESSAGE_INTEGER = 4  # an int beyond 64 bits: big-endian two's complement
MESSAGE_ARRAY = 5  # msgpack of library, dtype, shape and bytes

# In trees of numbers. All but an integer hold msgpack of a list.
TREE_TUPLE = 1  # its items
TREE_INTEGER = 2  # an int beyond 64 bits: little-endian two's complement
TREE_RECORD = 3  # qualified name of a dataclass or named tuple (or ``complex``), then its fields
TREE_MEMBER = 4  # qualified name of an enumeration, then the name of its member
TREE_LEAF = 5  # name of a kind of leaf, its id on the tape (-1: none), and its number

NEXT = 6
