"""Both sides of a tie: when they are one derivative, and how they are told."""

from __future__ import annotations

import pytest

from detrun.gradients.sides import OneSided


@pytest.mark.parametrize(
    ("sides", "agreed"),
    [
        (OneSided(2.0, 2.0 + 1e-9), 2.0 + 5e-10),
        (OneSided(4.0, 4.0 + 3e-6), 4.0 + 1.5e-6),
        (OneSided(0.0, 5e-7), 2.5e-7),
        (OneSided(2.0, 2.001), None),
        (OneSided(None, 2.0), None),
        (OneSided(2.0, None), None),
        (OneSided(2.0, 2.0, 0.5), None),
        (OneSided(2.0, 2.0, 0.0, 0.5), None),
    ],
)
def test_sides_that_are_equal_and_do_not_jump_agree(sides: OneSided, agreed: float | None) -> None:
    assert sides.agreed == (agreed if agreed is None else pytest.approx(agreed, abs=1e-12))


def test_what_each_side_is_told_of() -> None:
    assert str(OneSided(2.0, None)) == "2 just below, the program fails just above"
    assert str(OneSided(2.0, 3.0, -0.5, 0.25)) == (
        "2 just below, where the loss is -0.5 away, 3 just above, where the loss is +0.25 away"
    )
