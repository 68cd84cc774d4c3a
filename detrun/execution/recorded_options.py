"""What surrounds a run, in its recording's header, so that a replay is surrounded alike.

A thread that is not interrupted where it was has other steps; where a livelock, a data race or a thread's exception was
the failure, it must be looked for again. What the caller of the replay says himself comes first. The header is read as
what anybody may have written: what makes no sense there is taken for absent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from detrun_scheduler.threads.preemption import GRANULARITIES, Preemption

if TYPE_CHECKING:
    from detrun.execution.execute import Options
    from detrun_recorder.recording import Recording


def shown(options: Options) -> dict[str, Any]:
    """What a recording says of ``options``: plain data, for the header's ``extra``."""
    found: dict[str, Any] = {"max_steps": options.max_steps, **_shown_preemption(options)}
    if options.races is not None and options.races.fails:
        found["races"] = True
    if options.thread_errors:
        found["thread_errors"] = True
    if options.fault_lengths:
        found["fault_lengths"] = dict(options.fault_lengths)
    return found


def with_recorded(options: Options, recording: Recording) -> Options:
    """``options``, with what the recording says where they say nothing."""
    extra = recording.header.get("extra")
    found: dict[str, Any] = extra if isinstance(extra, dict) else {}
    if options.max_steps is None:
        limit = found.get("max_steps")
        options = replace(options, max_steps=limit if type(limit) is int and limit > 0 else None)
    if options.preemption is None and found.get("preemption") in GRANULARITIES:
        options = replace(options, preemption=found["preemption"], **_recorded_patterns(found))
    if options.races is None and found.get("races") is True:
        from detrun.races.detector import Races  # above this layer, and for few runs

        options = replace(options, races=Races())
    if options.thread_errors is None:
        options = replace(options, thread_errors=found.get("thread_errors") is True)
    return options


def _shown_preemption(options: Options) -> dict[str, Any]:
    chosen = options.preemption
    if chosen is None or chosen == "sync":
        return {}
    if isinstance(chosen, Preemption):
        granularity, include, exclude = chosen.granularity, chosen.include, chosen.exclude
    else:
        granularity, include, exclude = chosen, tuple(options.include), tuple(options.exclude)
    return {"preemption": granularity, "include": list(include), "exclude": list(exclude)}


def _recorded_patterns(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(one for one in value if isinstance(one, str))
        for name in ("include", "exclude")
        if isinstance(value := found.get(name), list)
    }
