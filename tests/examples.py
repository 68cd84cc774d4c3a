"""How many examples a property takes that is too expensive, or too important, for the number of the profile."""

from __future__ import annotations

from hypothesis import settings


def examples(count: int) -> settings:
    """``count`` examples, and more where the profile has more: `long` has thousands."""
    default = settings.default
    assert default is not None
    return settings(max_examples=max(count, default.max_examples))
