"""What measurements keep, beside what others keep meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.kept_results import kept_results, machines
from benchmarks.measuring import machine

ON = {"machine": f"{machine()}."}


def test_results_that_another_process_keeps_meanwhile_stay(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"

    def measure(name: str) -> dict[str, Any]:
        if name == "first":
            kept_results(file, "other", ["its own"], lambda _: {"is": 2}, (), show=False)
        return {"is": 1}

    kept = kept_results(file, "one", ["first", "second"], measure, (), show=False)
    assert kept["scenarios"] == {
        "other": {"its own": {"is": 2, **ON}},
        "one": {"first": {"is": 1, **ON}, "second": {"is": 1, **ON}},
    }
    assert kept == json.loads(file.read_text())


def test_only_some_are_measured_again_and_what_is_measured_no_more_goes(tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    kept_results(file, "one", ["first", "second"], lambda _: {"is": 1}, (), show=False)
    kept = kept_results(file, "one", ["second", "third"], lambda _: {"is": 3}, ("third",), show=False)
    assert kept["scenarios"]["one"] == {"second": {"is": 1, **ON}, "third": {"is": 3, **ON}}


def test_results_of_two_machines_name_both_each_once() -> None:
    found: dict[str, dict[str, Any]] = {
        "first": {"is": 1},
        "second": {"is": 1, "machine": "another."},
        "third": {"is": 1, "machine": "another."},
    }
    found["third"]["repetitions"] = [{"is": 2, "machine": "a last one."}]
    assert (
        machines({"scenarios": {"one": found}, "about": "an old one."}, "one") == "an old one.\nanother.\na last one."
    )
