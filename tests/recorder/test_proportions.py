"""How much a recording may hold for its size, at the bounds that docs/file-format.md states, and one above each."""

from __future__ import annotations

from typing import Any

import pytest

from detrun_recorder.format import Malformed
from detrun_recorder.proportions import Proportions, definitions_max

FRAME, FILE = 1000, 10_000  # bytes
STEPS = 2**20 + 256 * FILE
EVENTS = 2**23 + 512 * FILE
DEFINITIONS = 2**18 + 4 * FILE
EVENTS_OF_A_CHUNK = 2**21 + 64 * FRAME


def columns(events: int | None = None, payload_lengths: int | None = None) -> dict[str, Any]:
    """Columns that claim to inflate to so many bytes."""
    claimed = {"events": events, "payload_lengths": payload_lengths}
    return {name: [length, b""] for name, length in claimed.items() if length is not None}


def counted(proportions: Proportions) -> tuple[int, int, int]:
    return proportions.steps, proportions.event_bytes, proportions.definitions


def test_a_file_may_have_this_many_steps_and_definitions_in_all_its_chunks() -> None:
    proportions = Proportions()
    proportions.add(10, columns(), FRAME, FILE)
    assert counted(proportions) == (10, 0, 0)
    proportions.add(STEPS - 10, columns(7, 14), FRAME, FILE, DEFINITIONS)
    assert counted(proportions) == (STEPS, 7, DEFINITIONS)
    for steps, definitions, what in ((1, 0, "steps"), (0, 1, "definitions")):
        with pytest.raises(Malformed, match=f"{what} are more than"):
            proportions.add(steps, columns(), FRAME, FILE, definitions)
    assert counted(proportions) == (STEPS, 7, DEFINITIONS), "nothing of what is refused is counted"
    assert definitions_max(FILE) == DEFINITIONS


def test_a_file_may_have_this_many_bytes_of_events_in_all_its_chunks() -> None:
    proportions = Proportions()
    for _ in range(EVENTS // EVENTS_OF_A_CHUNK):
        proportions.add(1, columns(EVENTS_OF_A_CHUNK), FRAME, FILE)
    proportions.add(1, columns(EVENTS % EVENTS_OF_A_CHUNK), FRAME, FILE)
    assert proportions.event_bytes == EVENTS
    with pytest.raises(Malformed, match="bytes of events are more than"):
        proportions.add(1, columns(1), FRAME, FILE)


def test_a_chunk_may_have_this_many_bytes_of_events() -> None:
    Proportions().add(1, columns(EVENTS_OF_A_CHUNK), FRAME, FILE)
    with pytest.raises(Malformed, match="too many for a chunk of 1000 bytes"):
        Proportions().add(1, columns(EVENTS_OF_A_CHUNK + 1), FRAME, FILE)


@pytest.mark.parametrize(("events", "lengths", "is_refused"), [(9, 18, False), (9, 19, True), (None, 1, True)])
def test_lengths_of_payloads_have_two_bytes_for_each_of_the_events(
    events: int | None, lengths: int, is_refused: bool
) -> None:
    proportions = Proportions()
    if not is_refused:
        proportions.add(1, columns(events, lengths), FRAME, FILE)
        return
    with pytest.raises(Malformed, match="lengths of payloads are too many"):
        proportions.add(1, columns(events, lengths), FRAME, FILE)
