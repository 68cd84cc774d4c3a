"""How much a recording may say in how few bytes: bounds on what its chunks expand to, for the size of the file.

Compression makes a thousand bytes of one, and a byte of a column may be a step, an event or a label, each an object of
a hundred bytes once it is read. So a file of a few kilobytes could ask its reader for gigabytes. What runs write stays
far below the bounds (at most 91 steps and 300 bytes of events for each byte of a file, measured on runs of nothing but
schedule points and of one operation again and again); a writer that would pass them stores a chunk uncompressed.

The reader counts what a chunk claims when it opens the file, before anything is inflated.
"""

from __future__ import annotations

from collections.abc import Mapping

from detrun_recorder.format import Column, Malformed, column_length

# Each: so many for free, and so many more for each byte of the file, or of the chunk's frame.
STEPS_FREE, STEPS_A_BYTE = 1 << 20, 256
EVENT_BYTES_FREE, EVENT_BYTES_A_BYTE = 1 << 23, 512
CHUNK_EVENT_BYTES_FREE, CHUNK_EVENT_BYTES_A_BYTE = 1 << 21, 64
DEFINITIONS_FREE, DEFINITIONS_A_BYTE = 1 << 18, 4
PAYLOAD_LENGTHS_AN_EVENT_BYTE = 2  # an effect's event has two bytes at least, the length of its payload four at most


def definitions_max(file_bytes: int) -> int:
    """How many tasks, kinds, objects and names a file of this size may define."""
    return DEFINITIONS_FREE + DEFINITIONS_A_BYTE * file_bytes


class Proportions:
    """What the chunks of one file claim together."""

    __slots__ = ("definitions", "event_bytes", "steps")

    def __init__(self) -> None:
        self.steps = 0
        self.event_bytes = 0
        self.definitions = 0

    def add(
        self, steps: int, columns: Mapping[str, Column], frame_bytes: int, file_bytes: int, definitions: int = 0
    ) -> None:
        """Count a chunk.

        Args:
            definitions: how many the chunk makes, where that is known.

        Raises:
            Malformed: the chunk, or all so far, hold more than a file of ``file_bytes`` may. Nothing is counted then.
        """
        events = _length(columns, "events")
        lengths = _length(columns, "payload_lengths")
        total_steps, total_events = self.steps + steps, self.event_bytes + events
        total_definitions = self.definitions + definitions
        for what, claimed, bound in (
            ("steps", total_steps, STEPS_FREE + STEPS_A_BYTE * file_bytes),
            ("bytes of events", total_events, EVENT_BYTES_FREE + EVENT_BYTES_A_BYTE * file_bytes),
            ("definitions", total_definitions, definitions_max(file_bytes)),
        ):
            if claimed > bound:
                raise Malformed(f"{claimed} {what} are more than {bound}, the most for a file of {file_bytes} bytes")
        if events > CHUNK_EVENT_BYTES_FREE + CHUNK_EVENT_BYTES_A_BYTE * frame_bytes:
            raise Malformed(f"{events} bytes of events are too many for a chunk of {frame_bytes} bytes")
        if lengths > PAYLOAD_LENGTHS_AN_EVENT_BYTE * events:
            raise Malformed(f"{lengths} bytes of lengths of payloads are too many for {events} bytes of events")
        self.steps, self.event_bytes, self.definitions = total_steps, total_events, total_definitions


def _length(columns: Mapping[str, Column], name: str) -> int:
    return column_length(columns[name]) if name in columns else 0
