"""What functions access is found out once for each function, also where many functions come and go."""

from __future__ import annotations

import pytest

from detrun_scheduler.footprints import symbolic_execution
from detrun_scheduler.footprints.symbolic_execution import accesses_of


def test_functions_that_come_and_go_at_the_same_address_have_their_own_accesses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(symbolic_execution, "RECENT_MAX", 3)
    for number in range(20):
        code = compile(f"first.name_{number} = 1", f"file_{number}.py", "exec")
        names = [one.name for one in accesses_of(code).values() if one.is_write]
        assert names == [one.name for one in accesses_of(code).values() if one.is_write]
        assert f"name_{number}" in str(names)
        assert f"name_{number - 1}" not in str(names)
