"""Hypothesis profiles: `ci` (default) draws the same examples every time, `long` draws many new ones.

Chosen by the environment variable HYPOTHESIS_PROFILE; `make test-long` sets it to `long`. Both profiles run
without a deadline and ignore slowness: on a busy machine with two cores a timing says nothing about the code.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "ci", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", max_examples=2_000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
# For `make mutants`: an example that fails is enough, it need not become small.
settings.register_profile("mutants", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture
def garbage_of() -> Callable[[Callable[[], object]], int]:
    """Counts the objects that five calls leave to the collector; a campaign runs thousands without one."""

    def count(once: Callable[[], object]) -> int:
        once()
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                once()
            return gc.collect()
        finally:
            gc.enable()

    return count
