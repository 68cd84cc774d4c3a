"""``--detrun-html DIRECTORY``: why a test failed, as an HTML file."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from detrun.explore.verdicts import Exploration
from detrun_scheduler.errors import DetrunError

NAME_MAX = 120  # characters of a file's name that are the test's


def page_written(item: pytest.Item, exploration: Exploration, directory: Path) -> str:
    """Write the page of a failing test; says where it is, or why it was not written.

    Args:
        directory: from where pytest was called on; made if there is none.
    """
    place = item.config.invocation_params.dir / directory / page_name(item.nodeid)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        exploration.report(place)
    except (OSError, DetrunError) as error:
        return f"there is no HTML report: {error}"
    return f"as a page: {os.path.relpath(place, item.config.invocation_params.dir)}"


def page_name(test: str) -> str:
    """A file name for a test, which no other test has."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", test).strip("-")[:NAME_MAX]
    return f"{plain}-{hashlib.sha256(test.encode()).hexdigest()[:8]}.html"
