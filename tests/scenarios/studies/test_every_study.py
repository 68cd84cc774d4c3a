"""What every study promises: its invariants over many seeds, a replay to the same digest, and a large run."""

from __future__ import annotations

import pytest

from detrun_scenarios.frame.catalogue import all_scenarios, folder_of
from tests.scenarios.whole import check_large, check_replayed, check_survives

pytestmark = pytest.mark.one_python

STUDIES = {name: one for name, one in all_scenarios().items() if folder_of(name).parent.name == "studies"}
DATABASE = "self_optimizing_database"  # needs sqlglot; looks at the invariants of `database` as well, in its own test


@pytest.fixture(params=STUDIES)
def name(request: pytest.FixtureRequest) -> str:
    if request.param == DATABASE:
        pytest.importorskip("sqlglot")
    return str(request.param)


@pytest.mark.parametrize("seeds", [50, pytest.param(2_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("name", [name for name in STUDIES if name != DATABASE])
def test_many_seeds_keep_what_the_study_promises(name: str, seeds: int) -> None:
    check_survives(STUDIES[name], range(seeds))


def test_a_run_is_replayed_to_the_same_digest(name: str) -> None:
    check_replayed(STUDIES[name])


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_large_run_takes_a_hundred_thousand_steps_and_measures_every_loss(name: str) -> None:
    check_large(STUDIES[name])
