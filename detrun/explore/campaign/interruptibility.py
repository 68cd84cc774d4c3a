"""Where the threads of a campaign's schedules could be interrupted, for its reports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from detrun.execution.options import Options
from detrun_scheduler.loop import RunLoop
from detrun_scheduler.threads.preemption import Preemption
from detrun_scheduler.user_code import is_user_file

PLACES_SHOWN, FILES_SHOWN = 6, 4

_Packed = dict[str, list[object]]


@dataclass(slots=True)
class Watching:
    """Schedules that watched the same code at the same granularity.

    Attributes:
        narrow: of them, how many interrupted threads only where they meet.
        met: points of watched code that threads came to.
        files: that hold them.
        others: files of the user's whose code ran and was not watched.
    """

    schedules: int = 0
    narrow: int = 0
    met: int = 0
    files: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Interruptibility:
    """Counts the schedules that started threads, by where they could be interrupted.

    Attributes:
        places: by granularity and include patterns.
    """

    places: dict[tuple[str, tuple[str, ...]], Watching] = field(default_factory=dict)

    def add(self, loop: RunLoop, options: Options) -> None:
        """Count a schedule that has run."""
        if not loop.threads_started:
            return
        preemption = options.preemption if isinstance(options.preemption, Preemption) else None
        if preemption is None or preemption.interrupts_nowhere:
            self.places.setdefault(("sync", ()), Watching()).schedules += 1
            return
        place = self.places.setdefault((preemption.granularity, preemption.include), Watching())
        place.schedules += 1
        place.narrow += preemption.only_at is not None
        place.met += preemption.met
        preemption.met = 0
        # Looked at when there may be more: what has run is known for good, and most functions run in every schedule.
        if len(preemption.kept_codes) != preemption.codes_told:
            preemption.codes_told = len(preemption.kept_codes)
            watched, others = preemption.files()
            place.files |= watched
            if preemption.only_at is None:  # else functions without a place are among them
                place.others |= set(filter(is_user_file, others))

    def include(self, other: Interruptibility) -> None:
        """Add what another part of the campaign showed."""
        for key, theirs in other.places.items():
            place = self.places.setdefault(key, Watching())
            place.schedules += theirs.schedules
            place.narrow += theirs.narrow
            place.met += theirs.met
            place.files |= theirs.files
            place.others |= theirs.others

    def pack(self) -> list[tuple[object, ...]]:
        """As plain data."""
        return [
            (*key, place.schedules, place.narrow, place.met, sorted(place.files), sorted(place.others))
            for key, place in self.places.items()
        ]

    @classmethod
    def unpack(cls, packed: list[tuple[str, tuple[str, ...], int, int, int, list[str], list[str]]]) -> Interruptibility:
        """From plain data."""
        return cls(
            {
                (granularity, tuple(include)): Watching(int(schedules), int(narrow), int(met), set(files), set(others))
                for granularity, include, schedules, narrow, met, files, others in packed
            }
        )

    @property
    def unmet(self) -> str:
        """A warning if threads ran and no watched code in any of them; empty otherwise."""
        watched = {key: place for key, place in self.places.items() if key[0] != "sync"}
        if not watched or any(place.met for place in watched.values()):
            return ""
        patterns = sorted({pattern for _, include in watched for pattern in include})
        others = sorted({file for place in watched.values() for file in place.others})
        ran = f"; they ran code of {_some(list(map(_shown, others)))}" if others else ""
        return (
            f"warning: no line of what is watched ({_some(patterns)}) ran in any thread{ran}: name the code under test "
            "with include="
        )

    def __str__(self) -> str:
        """Empty if no thread was started."""
        total = sum(place.schedules for place in self.places.values())
        if not total:
            return ""
        return f"threads interrupted at: {_some(list(self._said(total)), PLACES_SHOWN, '; ')}"

    def _said(self, total: int) -> Iterator[str]:
        scopes: dict[tuple[str, ...], dict[str, Watching]] = {}
        for (granularity, include), place in self.places.items():
            scopes.setdefault(include, {})[granularity] = place
        by_share = sorted(scopes.items(), key=lambda one: (bool(one[0]), -sum(p.schedules for p in one[1].values())))
        for include, places in by_share:
            share = sum(place.schedules for place in places.values()) / total
            if not include:
                yield f"operations on locks and queues {share:.0%}"
                continue
            files = {file for place in places.values() for file in place.files}
            kinds = " and ".join(f"{'instruction' if kind == 'opcode' else kind}s" for kind in sorted(places))
            count = f"{len(files)} file{'' if len(files) == 1 else 's'}"
            narrow = sum(place.narrow for place in places.values()) / total
            where = f" ({narrow:.0%} only at lines that threads share)" if narrow else ""
            yield f"{kinds} of {count} in {_some(list(include))} {share:.0%}{where}"


def _shown(file: str) -> str:
    path = os.path.relpath(file)
    return file if path.startswith(os.pardir) else path


def _some(names: list[str], most: int = FILES_SHOWN, between: str = ", ") -> str:
    shown = names if len(names) <= most + 1 else [*names[:most], f"{len(names) - most} more"]
    return between.join(shown)
