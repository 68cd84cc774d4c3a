"""Slotted pages: against a dict where slots stay, and against a list where they move."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detrun_scenarios.database.storage.page import HEAP, LEAF, NO_PAGE, Page, TornPageError, record_bytes_max

BYTES = 256
RECORDS = st.binary(min_size=1, max_size=60)
CHANGES = st.lists(st.tuples(st.sampled_from(["put", "replace", "delete"]), st.integers(0, 8), RECORDS), max_size=40)
MOVES = st.lists(st.tuples(st.sampled_from(["insert", "replace", "remove"]), st.integers(0, 12), RECORDS), max_size=40)


@settings(max_examples=60, deadline=None)
@given(changes=CHANGES)
def test_a_heap_page_is_a_dict_of_slots(changes: list[tuple[str, int, bytes]]) -> None:
    page, model = Page.new(HEAP, BYTES), dict[int, bytes]()
    for what, slot, record in changes:
        if what == "put" and page.has_room(len(record), new_slot=page.free_slot() == page.slots):
            place = page.free_slot()
            assert place not in model
            page.put(place, record)
            model[place] = record
        elif what == "delete" and slot in model:
            page.delete(slot)
            del model[slot]
        elif what == "replace" and slot in model:
            before, fits = page.sealed(), page.free_bytes + len(model[slot]) >= len(record)
            if fits:
                page.replace(slot, record)
                model[slot] = record
            else:
                with pytest.raises(ValueError, match="no room"):
                    page.replace(slot, record)
                assert page.sealed() == before
        assert dict(page.records()) == model
        assert all(page.get(slot) == model.get(slot) for slot in range(-1, 10))
    assert dict(Page.opened(page.sealed(), "page 1").records()) == model


@settings(max_examples=60, deadline=None)
@given(moves=MOVES)
def test_a_page_of_a_tree_is_a_list_of_records(moves: list[tuple[str, int, bytes]]) -> None:
    page, model = Page.new(LEAF, BYTES), list[bytes]()
    for what, slot, record in moves:
        if what == "insert" and slot <= len(model) and page.has_room(len(record)):
            page.insert_at(slot, record)
            model.insert(slot, record)
        elif what == "remove" and slot < len(model):
            page.remove_at(slot)
            del model[slot]
        elif what == "replace" and slot < len(model) and page.free_bytes + len(model[slot]) >= len(record):
            page.replace(slot, record)
            model[slot] = record
        assert [record for _, record in page.records()] == model
        assert page.slots == len(model)


def test_room_is_counted_to_the_last_byte_and_gaps_are_closed() -> None:
    page = Page.new(HEAP, BYTES)
    for slot in range(3):
        page.put(slot, bytes([slot]) * 70)
    assert not page.has_room(20)
    page.delete(1)
    assert page.has_room(page.free_bytes, new_slot=False)
    page.put(1, b"z" * page.free_bytes)
    assert page.free_bytes == 0
    assert (page[0], page[2]) == (b"\x00" * 70, b"\x02" * 70)


def test_an_empty_page_takes_the_longest_record_and_none_that_is_longer() -> None:
    page, longest = Page.new(HEAP, BYTES), record_bytes_max(BYTES)
    assert page.has_room(longest)
    assert not page.has_room(longest + 1)


def test_the_header_keeps_what_it_is_told_and_a_part_of_a_page_is_refused() -> None:
    page = Page.new(LEAF, 1024)
    assert (page.kind, page.next, page.lsn) == (LEAF, NO_PAGE, 0)
    page.next, page.lsn = 7, 1 << 40
    page.put(0, b"record")
    old = page.sealed()
    page.replace(0, b"others")
    new = page.sealed()
    opened = Page.opened(new, "page 3")
    assert (opened.kind, opened.next, opened.lsn, opened[0]) == (LEAF, 7, 1 << 40, b"others")
    for torn in (new[:512] + old[512:], old[:512] + new[512:], new[:512], b"", bytes(1024)):
        with pytest.raises(TornPageError, match="page 3"):
            Page.opened(torn, "page 3")
