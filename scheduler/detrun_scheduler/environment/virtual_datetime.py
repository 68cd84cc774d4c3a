"""``datetime.now``, ``utcnow`` and ``today`` during a run.

They are methods of C types. The usual answer, replacing ``datetime.datetime`` in its module by a subclass (freezegun),
misses every ``from datetime import datetime`` made before the run, which is how most programs import it, and breaks
pickling and ``type(x) is datetime`` while it lasts. So the methods are replaced in the types (`c_types`), which reaches
every import form; where that cannot be done ``datetime.now`` reads the real clock. The local time zone stays the
machine's.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from detrun_scheduler.environment.c_types import ReplacedEntries

SUPPORTED = ReplacedEntries(date, {}).is_supported and ReplacedEntries(datetime, {}).is_supported


def replaced_datetime(wall_seconds: Callable[[], float | None]) -> tuple[ReplacedEntries, ReplacedEntries]:
    """The three methods, answering from ``wall_seconds`` where it is not None. To be called once in a process."""
    methods = _replacements(wall_seconds)
    return (
        ReplacedEntries(date, {"today": methods["today"]}),
        ReplacedEntries(datetime, {name: methods[name] for name in ("now", "utcnow")}),
    )


_ORIGINALS: dict[str, Any] = {
    "today": vars(date)["today"],
    **{name: vars(datetime)[name] for name in ("now", "utcnow")},
}


def _replacements(wall_seconds: Callable[[], float | None]) -> dict[str, Any]:
    def now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        seconds = wall_seconds()
        if seconds is None:
            return _ORIGINALS["now"].__get__(None, cls)(tz)  # type: ignore[no-any-return]
        return cls.fromtimestamp(seconds, tz)

    def utcnow(cls: type[datetime]) -> datetime:
        seconds = wall_seconds()
        if seconds is None:
            return _ORIGINALS["utcnow"].__get__(None, cls)()  # type: ignore[no-any-return]
        if sys.version_info >= (3, 12):
            warnings.warn(
                "datetime.datetime.utcnow() is deprecated; use datetime.datetime.now(datetime.UTC)",
                DeprecationWarning,
                stacklevel=2,
            )
        return cls.fromtimestamp(seconds, UTC).replace(tzinfo=None)

    def today(cls: type[date]) -> date:
        seconds = wall_seconds()
        if seconds is None:
            return _ORIGINALS["today"].__get__(None, cls)()  # type: ignore[no-any-return]
        return cls.fromtimestamp(seconds)

    return {"now": classmethod(now), "utcnow": classmethod(utcnow), "today": classmethod(today)}
