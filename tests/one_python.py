"""Tests that say the same on every Python, and how two Pythons that are tested side by side divide them: by files.

The rule: what an interpreter can change is tested on both. That is what looks at frames, bytecode, threads, processes,
sources and the standard library; each kind of check that is divided has such a test beside it: one strategy of several,
the explanations at lines and opcodes, the derivatives of plain trio and of windows, the recordings that are kept.
"""

from __future__ import annotations

import re
from hashlib import blake2b

# Rooms, files and pages of which all is `one_python`; single tests and files are marked where they are.
SAME_ON_EVERY_PYTHON = (
    "docs",
    "tests/ad/test_adjoint_rules.py",
    "tests/ad/test_revolve.py",
    "tests/ad/test_trees.py",
    "tests/benchmarks",
    "tests/benchmarks_bugs",
    "tests/benchmarks_real_bugs",
    "tests/checkers",
    "tests/cli",
    "tests/counterfactuals/test_choice_probabilities.py",
    "tests/execution/test_interleavings.py",
    "tests/explore/campaign/test_exploration_page.py",
    "tests/explore/campaign/test_explore.py",
    "tests/explore/campaign/test_gradient_tables.py",
    "tests/explore/campaign/test_mixture.py",
    "tests/explore/campaign/test_threads_exhausted.py",
    "tests/explore/failures/test_decisive_faults.py",
    "tests/explore/failures/test_decisive_order.py",
    "tests/explore/failures/test_decisive_order_property.py",
    "tests/explore/failures/test_findings_kept.py",
    "tests/explore/failures/test_fresh_replays.py",
    "tests/explore/failures/test_listing.py",
    "tests/explore/failures/test_shrinking.py",
    "tests/external/test_http_over_world.py",
    "tests/external/test_trio_suite.py",
    "tests/gradients/closed_forms",
    "tests/gradients/expected",
    "tests/gradients/finite",
    "tests/gradients/policy",
    "tests/gradients/relaxed",
    "tests/gradients/sampling",
    "tests/gradients/test_comparison.py",
    "tests/gradients/test_flips.py",
    "tests/gradients/test_growth.py",
    "tests/gradients/test_mixed_programs.py",
    "tests/gradients/test_stage_rules.py",
    "tests/gradients/test_stages.py",
    "tests/machines/test_event_sourced.py",
    "tests/machines/test_event_sourced_oracles.py",
    "tests/machines/test_state_machine.py",
    "tests/messages/test_packing.py",
    "tests/minimizing",
    "tests/mutation",
    "tests/primitives/test_buffer.py",
    "tests/primitives/test_draws.py",
    "tests/primitives/test_shared.py",
    "tests/recorder/test_damage.py",
    "tests/recorder/test_round_trip.py",
    "tests/recorder/test_token.py",
    "tests/scenarios",
    "tests/scheduler/strategies/test_bounded.py",
    "tests/scheduler/strategies/test_dpor.py",
    "tests/scheduler/strategies/test_runnable_order.py",
    "tests/scheduler/strategies/test_samplers.py",
    "tests/scheduler/test_randomness.py",
    "tests/scheduler/trio_host/test_private_names.py",
    "tests/testing",
    "tests/world/disk",
    "tests/world/faults",
    "tests/world/network",
    "tests/world/nodes/test_nodes.py",
    "tests/world/time",
    "tests/test_documented_modules.py",
    "tests/test_layers.py",
    "tests/test_public_names.py",
    "tests/test_readme.py",
    "tests/test_repository.py",
)
# `.ci/setup` installs it beside the first Python only, so that the second shows what works without.
IMPORTS_TORCH = re.compile(r"^\s*(?:>>> )?(?:import|from) torch\b|importorskip\(\"torch", re.MULTILINE)


def is_same_on_every_python(file: str) -> bool:
    """Whether all of ``file``, by its path in the repository, is `one_python`."""
    return file in SAME_ON_EVERY_PYTHON or file.startswith(tuple(f"{place}/" for place in SAME_ON_EVERY_PYTHON))


def is_in_part(file: str, text: str, share: str) -> bool:
    """Whether ``file``, by its path in the repository, belongs to ``share``: ``1/2`` or ``2/2``.

    Its name and its ``text`` decide, not which other files there are. What imports torch is of the first part, and so
    are the documents, where readers may be shown it.

    Raises:
        ValueError: ``share`` is no part of a whole.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", share)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"--share {share} is no part of a whole; give 1/2 to one Python and 2/2 to the other")
    # Any byte would do; by the seventh two parts take about equally long.
    is_of_first = file.startswith("docs/") or IMPORTS_TORCH.search(text)
    part = 0 if is_of_first else blake2b(file.encode()).digest()[6] % int(found[2])
    return part == int(found[1]) - 1
