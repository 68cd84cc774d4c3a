"""Tests that say the same on every Python, and how two Pythons that are tested side by side divide them: by files."""

from __future__ import annotations

import re
from hashlib import blake2b

# Rooms, files and pages of which all is `one_python`; single tests and files are marked where they are.
SAME_ON_EVERY_PYTHON = (
    "docs",
    "tests/benchmarks",
    "tests/benchmarks_bugs",
    "tests/benchmarks_real_bugs",
    "tests/checkers",
    "tests/cli",
    "tests/gradients/closed_forms",
    "tests/gradients/expected",
    "tests/mutation",
    "tests/scenarios",
    "tests/testing",
    "tests/world/disk",
    "tests/world/faults",
    "tests/test_documented_modules.py",
    "tests/test_layers.py",
    "tests/test_public_names.py",
    "tests/test_readme.py",
    "tests/test_repository.py",
)


def is_in_part(file: str, share: str) -> bool:
    """Whether ``file``, by its path in the repository, belongs to ``share``: ``1/2`` or ``2/2``.

    Its name alone decides, not which other files there are: a Python that lacks a library collects fewer of them.

    Raises:
        ValueError: ``share`` is no part of a whole.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", share)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"--share {share} is no part of a whole; give 1/2 to one Python and 2/2 to the other")
    return blake2b(file.encode()).digest()[0] % int(found[2]) == int(found[1]) - 1
