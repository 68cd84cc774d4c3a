"""The heap is frozen within a block, and what was frozen before stays so."""

from __future__ import annotations

import gc

import pytest

from detrun_scheduler.frozen_heap import frozen_heap, is_frozen


@pytest.fixture(autouse=True)
def melted() -> None:
    """What the process has frozen before, such as one that forks for each test, is no part of these tests."""
    gc.unfreeze()


def test_what_exists_is_frozen_within_the_block_and_melted_after_it() -> None:
    assert not is_frozen()
    with frozen_heap():
        assert is_frozen()
        assert gc.get_freeze_count() > 1_000
        kept = [[] for _ in range(100)]
        before = gc.get_freeze_count()
        with frozen_heap():
            assert gc.get_freeze_count() >= before + len(kept)
        assert gc.get_freeze_count() > 1_000  # the outer one melts it
        assert is_frozen()
    assert gc.get_freeze_count() == 0
    with pytest.raises(KeyError), frozen_heap():
        raise KeyError
    assert gc.get_freeze_count() == 0
    with frozen_heap():
        pass
    assert gc.get_freeze_count() == 0


def test_what_the_program_has_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        with frozen_heap():
            pass
        assert gc.get_freeze_count() > 1_000
    finally:
        gc.unfreeze()
