"""``python -m benchmarks.real_bugs.hunted NAME SCHEDULES SEED WHERE``: one exploration in the environment of a bug.

``WHERE`` is ``default``, or ``explicit`` for threads that are interrupted at every line of the library, and for timers
and collections that a bug needs in every schedule. What was found is one line of JSON behind the word ``hunt``.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import detrun
from benchmarks.real_bugs.catalogue import RealBug, bug
from benchmarks.real_bugs.environments import ROOT


def options(one: RealBug, where: str) -> dict[str, Any]:
    """The arguments for `detrun.explore` beside schedules and seed: none by default."""
    if where == "default":
        return {}
    given: dict[str, Any] = {one.action: 1} if one.action else {}
    return {"preemption": "line", "include": [*one.packages, one.module], **given} if one.packages else given


def arm(extra: Mapping[str, Any]) -> str:
    """Where threads were interrupted in a recording, in words, from its header."""
    granularity = extra.get("preemption", "sync")
    if granularity == "sync":
        return "sync"
    names = [PurePath(name.strip("*/")).stem for name in extra.get("include", ())]
    kind = "lines" if granularity == "line" else "instructions"
    return f"{kind} of {', '.join('the project' if name in ('', ROOT.stem) else name for name in names)}"


def hunt(one: RealBug, schedules: int, seed: int, where: str) -> dict[str, Any]:
    """Explore the bug's program in this process, which must have the library."""
    main = importlib.import_module(one.module).main
    began, began_cpu = time.monotonic(), time.process_time()
    found = detrun.explore(main, schedules=schedules, seed=seed, directory=None, **options(one, where))
    failure = found.failure
    explanation = None if failure is None else failure.explanation
    return {
        "verdict": found.verdict,
        "reason": found.reason,
        "schedules": found.schedules,
        "seconds": round(time.monotonic() - began, 2),
        "cpu_seconds": round(time.process_time() - began_cpu, 2),
        "seconds_to_failure": round(found.statistics.seconds, 2),
        "arm": "" if failure is None else arm(failure.recording.header.get("extra", {})),
        "explained": "" if explanation is None else ("verified" if explanation.verified else "not verified"),
        "explanation": "" if explanation is None else str(explanation),
    }


if __name__ == "__main__":
    name, schedules, seed, where = sys.argv[1:]
    print("hunt " + json.dumps(hunt(bug(name), int(schedules), int(seed), where)))
